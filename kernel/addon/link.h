// An attachment that ends with its file descriptor.
#pragma once

#include <bpf/libbpf.h>
#include <errno.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "core.h"
#include "mutex.h"
#include "object.h"

namespace studio {

// Either one of libbpf's links, or the bare descriptor of a link, perf event or socket.
struct LinkState {
  explicit LinkState(bpf_link* link) : link(link), fd(bpf_link__fd(link)) {}
  explicit LinkState(int fd) : link(nullptr), fd(fd) {}
  ~LinkState() { Detach(); }

  void Detach() {
    if (link) {
      bpf_link__destroy(link);
    } else if (fd >= 0) {
      close(fd);
    }
    link = nullptr;
    fd = -1;
  }

  Mutex mutex;
  bpf_link* link;
  int fd;
};

Deliver DeliverLink(std::shared_ptr<LinkState> state);

// The interface's index in the calling thread's network namespace.
unsigned InterfaceIndex(const std::string& name);

// libbpf's attach functions return null and set errno.
inline Deliver FromLibbpf(const char* operation, bpf_link* link) {
  if (!link) Fail(operation, errno);
  return DeliverLink(std::make_shared<LinkState>(link));
}

// A descriptor that is closed unless it is handed over.
struct OwnedFd {
  explicit OwnedFd(int fd) : fd(fd) {}
  ~OwnedFd() {
    if (fd >= 0) close(fd);
  }
  OwnedFd(const OwnedFd&) = delete;
  int Release() {
    int released = fd;
    fd = -1;
    return released;
  }
  int fd;
};

// Runs `attach` on a worker thread with the object's program, holding the object.
template <typename Attach>
Napi::Value Attaching(const Napi::CallbackInfo& info, Attach attach) {
  auto state = Unwrap<ObjectState>(info[1]);
  std::string name = Text(info[2]);
  return Start(info, [state, name, attach]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    return attach(state->Program(name).program);
  });
}

inline Napi::Object Options(const Napi::CallbackInfo& info) { return info[3].As<Napi::Object>(); }

}  // namespace studio
