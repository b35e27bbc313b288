//===- Connection.h - one client's connection --------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_CONNECTION_H
#define LLAMA4_RUNTIME_SERVE_CONNECTION_H

#include "runtime/serve/Http.h"

#include <boost/asio/generic/stream_protocol.hpp>

namespace llama4::serve {

/// What all connections of a server share; lives longer than they do. Used by the thread of input
/// and output only.
struct ConnectionHost {
  std::shared_ptr<ByteBudget> buffers; ///< of limits.sharedBytes
  HttpLimits limits;
  HttpHandler *handler = nullptr;
  size_t connections = 0; ///< open now
  size_t busy = 0;        ///< of them, with a request that is not answered to its last byte
  bool closing = false;   ///< every response is the last of its connection
};

/// Of TCP or at a path.
using Socket = boost::asio::generic::stream_protocol::socket;

/// Reads requests from the socket and writes their answers until either side closes. There is
/// always a read under way, so that a client that goes is noticed at once.
void startConnection(Socket socket, ConnectionHost &host);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_CONNECTION_H
