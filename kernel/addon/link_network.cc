// Attaching loaded programs to interfaces, cgroups, network namespaces and sockets; as in link.cc.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "link.h"

namespace studio {

unsigned InterfaceIndex(const std::string& name) {
  unsigned index = if_nametoindex(name.c_str());
  if (index == 0) Fail("find interface " + name, errno);
  return index;
}

namespace {

int OpenPath(const std::string& path, int flags) {
  int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) Fail("open " + path, errno);
  return fd;
}

// {interface, flags, netns}: flags are XDP_FLAGS_*, which libbpf's own function has no room for.
Napi::Value AttachXdp(const Napi::CallbackInfo& info) {
  std::string interface = Text(Options(info).Get("interface"));
  uint32_t flags = Number(Options(info).Get("flags"));
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    EnterNetworkNamespace(netns);
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    int fd = bpf_link_create(bpf_program__fd(program), InterfaceIndex(interface), BPF_XDP, &options);
    Check("BPF_LINK_CREATE", fd);
    return DeliverLink(std::make_shared<LinkState>(fd));
  });
}

// {interface, netns}: the direction is the program's expected attach type or `ingress`.
Napi::Value AttachTcx(const Napi::CallbackInfo& info) {
  std::string interface = Text(Options(info).Get("interface"));
  bool ingress = Options(info).Get("ingress").ToBoolean();
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    EnterNetworkNamespace(netns);
    // bpf_program__attach_tcx() takes the direction from the section; this one is the user's choice.
    LIBBPF_OPTS(bpf_link_create_opts, options);
    int fd = bpf_link_create(bpf_program__fd(program), InterfaceIndex(interface),
                             ingress ? BPF_TCX_INGRESS : BPF_TCX_EGRESS, &options);
    Check("BPF_LINK_CREATE", fd);
    return DeliverLink(std::make_shared<LinkState>(fd));
  });
}

// {interface, peer, netns}
Napi::Value AttachNetkit(const Napi::CallbackInfo& info) {
  std::string interface = Text(Options(info).Get("interface"));
  bool peer = Options(info).Get("peer").ToBoolean();
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    EnterNetworkNamespace(netns);
    LIBBPF_OPTS(bpf_link_create_opts, options);
    int fd = bpf_link_create(bpf_program__fd(program), InterfaceIndex(interface),
                             peer ? BPF_NETKIT_PEER : BPF_NETKIT_PRIMARY, &options);
    Check("BPF_LINK_CREATE", fd);
    return DeliverLink(std::make_shared<LinkState>(fd));
  });
}

// {path}: a directory of cgroup v2.
Napi::Value AttachCgroup(const Napi::CallbackInfo& info) {
  std::string path = Text(Options(info).Get("path"));
  return Attaching(info, [=](bpf_program* program) {
    OwnedFd cgroup(OpenPath(path, O_RDONLY | O_DIRECTORY));
    return FromLibbpf("bpf_program__attach_cgroup", bpf_program__attach_cgroup(program, cgroup.fd));
  });
}

// {family, hookNumber, priority, flags, netns}: NFPROTO_*, NF_INET_*.
Napi::Value AttachNetfilter(const Napi::CallbackInfo& info) {
  LIBBPF_OPTS(bpf_netfilter_opts, given);
  given.pf = Number(Options(info).Get("family"));
  given.hooknum = Number(Options(info).Get("hookNumber"));
  given.priority = Number(Options(info).Get("priority"));
  given.flags = Number(Options(info).Get("flags"));
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    EnterNetworkNamespace(netns);
    return FromLibbpf("bpf_program__attach_netfilter", bpf_program__attach_netfilter(program, &given));
  });
}

// {netns}: sk_lookup and flow_dissector.
Napi::Value AttachNetns(const Napi::CallbackInfo& info) {
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    OwnedFd target(OpenPath(netns.empty() ? "/proc/self/ns/net" : netns, O_RDONLY));
    return FromLibbpf("bpf_program__attach_netns", bpf_program__attach_netns(program, target.fd));
  });
}

// {interface, netns}: a packet socket of the host's own; what the filter accepts is queued there and never read.
Napi::Value AttachSocket(const Napi::CallbackInfo& info) {
  std::string interface = Text(Options(info).Get("interface"));
  std::string netns = Text(Options(info).Get("netns"));
  return Attaching(info, [=](bpf_program* program) {
    EnterNetworkNamespace(netns);
    unsigned index = InterfaceIndex(interface);
    OwnedFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (socket.fd < 0) Fail("socket(AF_PACKET)", errno);
    int program_fd = bpf_program__fd(program);
    if (setsockopt(socket.fd, SOL_SOCKET, SO_ATTACH_BPF, &program_fd, sizeof(program_fd)) < 0)
      Fail("SO_ATTACH_BPF", errno);
    // No packet is accepted before the filter is in place: only now is the socket bound to a protocol.
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = index;
    if (bind(socket.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) Fail("bind", errno);
    return DeliverLink(std::make_shared<LinkState>(socket.Release()));
  });
}

}  // namespace

void InitNetworkLink(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "attachXdp", AttachXdp);
  Export(env, exports, "attachTcx", AttachTcx);
  Export(env, exports, "attachNetkit", AttachNetkit);
  Export(env, exports, "attachCgroup", AttachCgroup);
  Export(env, exports, "attachNetfilter", AttachNetfilter);
  Export(env, exports, "attachNetns", AttachNetns);
  Export(env, exports, "attachSocket", AttachSocket);
}

}  // namespace studio
