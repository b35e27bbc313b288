//===- LeasedBody.h - where the bytes of a request's body go -----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_LEASEDBODY_H
#define LLAMA4_RUNTIME_SERVE_LEASEDBODY_H

#include "runtime/serve/ByteBudget.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <new>
#include <string>

namespace llama4::serve {

/// A body of a request that grows as it comes, whatever length was said, and within what all
/// bodies together may have.
struct LeasedBody {
  struct value_type {
    std::string text;
    ByteLease lease;
    bool isOver = false; ///< there was no room
  };
  class reader {
  public:
    template <bool isRequest, class Fields>
    reader(boost::beast::http::header<isRequest, Fields> &, value_type &body) : body_(body) {}
    void init(const boost::optional<uint64_t> &, boost::system::error_code &error) { error = {}; }
    template <class Buffers> size_t put(const Buffers &buffers, boost::system::error_code &error) {
      error = {};
      size_t bytes = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer buffer = *it;
        if (!reserve(buffer.size())) {
          body_.isOver = true;
          error = boost::beast::http::error::buffer_overflow;
          return bytes;
        }
        body_.text.append(static_cast<const char *>(buffer.data()), buffer.size());
        bytes += buffer.size();
      }
      return bytes;
    }
    void finish(boost::system::error_code &error) { error = {}; }

  private:
    bool reserve(size_t more) {
      const size_t need = body_.text.size() + more;
      if (need <= body_.lease.bytes())
        return true;
      const size_t size = std::max<size_t>(need, body_.text.size() * 3 / 2);
      // An eighth stays for answers: who asks whether the server lives is told so, however many
      // bodies come.
      if (!body_.lease.grow(size - body_.lease.bytes(), body_.lease.limit() / 8))
        return false;
      try {
        body_.text.reserve(size);
      } catch (const std::bad_alloc &) {
        return false;
      }
      return true;
    }
    value_type &body_;
  };
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_LEASEDBODY_H
