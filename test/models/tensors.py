"""Files of tensors in types that numpy does not have."""

import json

import numpy as np


def write_safetensors(path, tensors):
    """A file of (type name, array) by name; the package knows neither FP8 nor bfloat16 arrays."""
    header, offset, data = {}, 0, []
    for name, (dtype, values) in tensors.items():
        raw = np.ascontiguousarray(values).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
