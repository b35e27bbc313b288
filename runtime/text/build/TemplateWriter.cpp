//===- TemplateWriter.cpp - collects the nodes of a chat-template section *- C++ -*-===//

#include "runtime/text/build/TemplateWriter.h"

#include "runtime/text/TemplateView.h"

#include <cstring>

namespace llama4::text {

uint32_t TemplateWriter::add(NodeKind kind, uint32_t line, std::span<const uint32_t> children,
                             Fields fields) {
  TemplateNode node = {};
  node.kind = static_cast<uint8_t>(kind);
  node.op = fields.op;
  tooManyChildren_ |= children.size() > UINT16_MAX;
  node.childCount = static_cast<uint16_t>(children.size());
  node.a = fields.a;
  node.firstChild = static_cast<uint32_t>(children_.size());
  node.line = line;
  children_.insert(children_.end(), children.begin(), children.end());
  nodes_.push_back(node);
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t TemplateWriter::string(std::string_view text) {
  auto known = stringIds_.find(text);
  if (known != stringIds_.end())
    return known->second;
  auto id = static_cast<uint32_t>(strings_.size());
  auto added = stringIds_.emplace(std::string(text), id).first;
  strings_.push_back(&added->first);
  return id;
}

uint32_t TemplateWriter::number(uint64_t bits) {
  numbers_.push_back(bits);
  return static_cast<uint32_t>(numbers_.size() - 1);
}

Result<std::vector<std::byte>> TemplateWriter::finish() const {
  if (tooManyChildren_)
    return Status::invalidInput("the chat template has a block of more than 65535 parts");
  std::string strings;
  std::vector<uint32_t> ends;
  for (const std::string *text : strings_) {
    strings += *text;
    ends.push_back(static_cast<uint32_t>(strings.size()));
  }
  if (strings.size() > UINT32_MAX)
    return Status::invalidInput("the chat template is larger than 4 GiB");
  TemplateHeader header = {};
  std::memcpy(header.magic, kTemplateMagic, sizeof(header.magic));
  header.major = kTemplateMajor;
  header.minor = kTemplateMinor;
  header.headerBytes = sizeof(header);
  header.nodeCount = static_cast<uint32_t>(nodes_.size());
  header.childCount = static_cast<uint32_t>(children_.size());
  header.numberCount = static_cast<uint32_t>(numbers_.size());
  header.stringCount = static_cast<uint32_t>(ends.size());
  header.stringBytes = static_cast<uint32_t>(strings.size());
  std::vector<std::byte> section(sizeof(header));
  auto append = [&](const auto &table) {
    auto bytes = std::as_bytes(std::span(table));
    section.insert(section.end(), bytes.begin(), bytes.end());
  };
  append(nodes_);
  append(children_);
  append(numbers_);
  append(ends);
  append(strings);
  header.totalBytes = section.size();
  std::memcpy(section.data(), &header, sizeof(header));
  Result<TemplateView> view = TemplateView::open(section); // the reader is the judge
  if (!view.ok())
    return view.status();
  return section;
}

} // namespace llama4::text
