// An attachment that ends with its file descriptor.
#pragma once

#include <bpf/libbpf.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "core.h"

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

  std::mutex mutex;
  bpf_link* link;
  int fd;
};

Deliver DeliverLink(std::shared_ptr<LinkState> state);

// The interface's index in the calling thread's network namespace.
unsigned InterfaceIndex(const std::string& name);

}  // namespace studio
