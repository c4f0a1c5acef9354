// tc through clsact, for kernels without tcx (before 6.6). Its filters outlive the process, so whoever attaches one
// has to see to its removal: tcDetach() removes only the filter whose program is ours, and the qdisc only when it is
// empty.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"
#include "object.h"

namespace studio {
namespace {

struct Filter {
  uint32_t handle, priority, programId;
};

// The program id of a filter of kind `bpf`, 0 for other kinds.
uint32_t ProgramIdOf(tcmsg* message, int length) {
  auto* first = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(message) + NLMSG_ALIGN(sizeof(*message)));
  uint32_t id = 0;
  bool isBpf = false;
  rtattr* options = nullptr;
  for (rtattr* one = first; RTA_OK(one, length); one = RTA_NEXT(one, length)) {
    if (one->rta_type == TCA_KIND) isBpf = strcmp(static_cast<char*>(RTA_DATA(one)), "bpf") == 0;
    if (one->rta_type == TCA_OPTIONS) options = one;
  }
  if (!isBpf || !options) return 0;
  int rest = RTA_PAYLOAD(options);
  for (auto* one = static_cast<rtattr*>(RTA_DATA(options)); RTA_OK(one, rest); one = RTA_NEXT(one, rest))
    if (one->rta_type == TCA_BPF_ID) memcpy(&id, RTA_DATA(one), sizeof(id));
  return id;
}

// The filters on one of clsact's hooks. libbpf has no listing of them.
std::vector<Filter> ListFilters(int ifindex, bool ingress) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) Fail("open rtnetlink", errno);
  struct {
    nlmsghdr header;
    tcmsg message;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETTFILTER;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.tcm_family = AF_UNSPEC;
  request.message.tcm_ifindex = ifindex;
  request.message.tcm_parent = TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  std::vector<Filter> filters;
  std::string buffer(64 * 1024, '\0');
  int error = send(fd, &request, sizeof(request), 0) < 0 ? errno : 0;
  for (bool more = error == 0; more;) {
    ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0) {
      error = errno;
      break;
    }
    int left = length;
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); more && NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) {
        more = false;
      } else if (header->nlmsg_type == NLMSG_ERROR) {
        error = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
        more = false;
      } else if (header->nlmsg_type == RTM_NEWTFILTER) {
        auto* message = static_cast<tcmsg*>(NLMSG_DATA(header));
        // A priority is listed once by itself, with handle 0, before its filters.
        if (message->tcm_handle == 0) continue;
        filters.push_back({message->tcm_handle, TC_H_MAJ(message->tcm_info) >> 16,
                           ProgramIdOf(message, NLMSG_PAYLOAD(header, sizeof(*message)))});
      }
    }
  }
  close(fd);
  // No such interface or qdisc: there are no filters.
  if (error && error != ENODEV && error != EINVAL && error != ENOENT) Fail("list tc filters", error);
  return filters;
}

bpf_tc_attach_point Point(bool ingress) { return ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS; }

// A filter of ours: found again by the program it runs, whose id no other program ever gets.
struct TcFilter {
  int ifindex;
  bool ingress;
  uint32_t programId;
  bool createdQdisc;
};

// tcCreateQdisc(operation, interface, netns): {ifindex, created}. Before the filter, so that it can be journalled.
Napi::Value TcCreateQdisc(const Napi::CallbackInfo& info) {
  std::string interface = Text(info[1]);
  std::string netns = Text(info[2]);
  return Start(info, [=]() -> Deliver {
    EnterNetworkNamespace(netns);
    int ifindex = InterfaceIndex(interface);
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    int result = bpf_tc_hook_create(&hook);
    if (result < 0 && result != -EEXIST) Fail("bpf_tc_hook_create", -result);
    return [ifindex, created = result == 0](Napi::Env env) -> Napi::Value {
      Napi::Object object = Napi::Object::New(env);
      object.Set("ifindex", Napi::Number::New(env, ifindex));
      object.Set("created", Napi::Boolean::New(env, created));
      return object;
    };
  });
}

// tcAttach(operation, object, program, {ifindex, ingress, netns})
Napi::Value TcAttach(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  std::string name = Text(info[2]);
  Napi::Object options = info[3].As<Napi::Object>();
  int ifindex = Number(options.Get("ifindex"));
  bool ingress = options.Get("ingress").ToBoolean();
  std::string netns = Text(options.Get("netns"));
  return Start(info, [=]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    EnterNetworkNamespace(netns);
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = Point(ingress));
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = bpf_program__fd(state->Program(name).program));
    Check("bpf_tc_attach", bpf_tc_attach(&hook, &filter));
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

TcFilter ParseFilter(const Napi::Value& value) {
  Napi::Object options = value.As<Napi::Object>();
  return {static_cast<int>(Number(options.Get("ifindex"))), options.Get("ingress").ToBoolean(),
          static_cast<uint32_t>(Number(options.Get("programId"))), options.Get("createdQdisc").ToBoolean()};
}

// tcReplace(operation, fd, filter, netns): the filter runs the program behind `fd` from now on. The kernel exchanges the
// one for the other (cls_bpf_change, list_replace_rcu), so that no packet comes by between them.
Napi::Value TcReplace(const Napi::CallbackInfo& info) {
  Fd program(info[1]);
  TcFilter ours = ParseFilter(info[2]);
  std::string netns = Text(info[3]);
  return Start(info, [=]() -> Deliver {
    EnterNetworkNamespace(netns);
    bool found = false;
    for (const auto& filter : ListFilters(ours.ifindex, ours.ingress)) {
      if (filter.programId != ours.programId) continue;
      LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ours.ifindex, .attach_point = Point(ours.ingress));
      LIBBPF_OPTS(bpf_tc_opts, which, .prog_fd = program, .flags = BPF_TC_F_REPLACE, .handle = filter.handle,
                  .priority = filter.priority);
      Check("bpf_tc_attach", bpf_tc_attach(&hook, &which));
      found = true;
    }
    // As a link says it.
    if (!found) Fail("find the tc filter", ENOLINK, "the filter is gone");
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// tcIsAttached(operation, filter, netns)
Napi::Value TcIsAttached(const Napi::CallbackInfo& info) {
  TcFilter ours = ParseFilter(info[1]);
  std::string netns = Text(info[2]);
  return Start(info, [=]() -> Deliver {
    EnterNetworkNamespace(netns);
    bool attached = false;
    for (const auto& filter : ListFilters(ours.ifindex, ours.ingress))
      attached = attached || filter.programId == ours.programId;
    return [attached](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, attached); };
  });
}

// tcDetach(operation, filter, netns): every filter of this program, then the qdisc if we created it and it is empty.
// Resolves to whether the qdisc was removed.
Napi::Value TcDetach(const Napi::CallbackInfo& info) {
  TcFilter ours = ParseFilter(info[1]);
  std::string netns = Text(info[2]);
  return Start(info, [=]() -> Deliver {
    EnterNetworkNamespace(netns);
    for (const auto& filter : ListFilters(ours.ifindex, ours.ingress)) {
      if (filter.programId != ours.programId) continue;
      LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ours.ifindex, .attach_point = Point(ours.ingress));
      LIBBPF_OPTS(bpf_tc_opts, which, .handle = filter.handle, .priority = filter.priority);
      Check("bpf_tc_detach", bpf_tc_detach(&hook, &which));
    }
    bool empty = ListFilters(ours.ifindex, true).empty() && ListFilters(ours.ifindex, false).empty();
    bool removed = ours.createdQdisc && empty;
    if (removed) {
      LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = ours.ifindex,
                  .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
      int result = bpf_tc_hook_destroy(&qdisc);
      // Gone with its interface, or removed by somebody else: that is what was wanted.
      if (result < 0 && result != -ENOENT && result != -ENODEV && result != -EINVAL)
        Fail("bpf_tc_hook_destroy", -result);
    }
    return [removed](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, removed); };
  });
}

}  // namespace

void InitTc(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "tcCreateQdisc", TcCreateQdisc);
  Export(env, exports, "tcAttach", TcAttach);
  Export(env, exports, "tcReplace", TcReplace);
  Export(env, exports, "tcIsAttached", TcIsAttached);
  Export(env, exports, "tcDetach", TcDetach);
}

}  // namespace studio
