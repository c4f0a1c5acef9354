// The interfaces of a network namespace, by rtnetlink.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "core.h"

namespace studio {
namespace {

struct Interface {
  int index = 0;
  std::string name, kind, mac;
  unsigned flags = 0, mtu = 0;
  std::vector<std::string> addresses;
  // IFLA_XDP: program id by mode, 0 if none.
  uint32_t xdpNative = 0, xdpGeneric = 0, xdpOffload = 0;
};

using Attributes = std::map<unsigned short, rtattr*>;

Attributes Parse(rtattr* first, int length) {
  Attributes found;
  for (rtattr* one = first; RTA_OK(one, length); one = RTA_NEXT(one, length)) found[one->rta_type & NLA_TYPE_MASK] = one;
  return found;
}
Attributes Nested(rtattr* parent) { return Parse(static_cast<rtattr*>(RTA_DATA(parent)), RTA_PAYLOAD(parent)); }
uint32_t Uint32(rtattr* attribute) {
  uint32_t value = 0;
  memcpy(&value, RTA_DATA(attribute), std::min<size_t>(sizeof(value), RTA_PAYLOAD(attribute)));
  return value;
}
std::string String(rtattr* attribute) {
  auto* text = static_cast<const char*>(RTA_DATA(attribute));
  return std::string(text, strnlen(text, RTA_PAYLOAD(attribute)));
}

Interface ParseLink(nlmsghdr* header) {
  auto* message = static_cast<ifinfomsg*>(NLMSG_DATA(header));
  Attributes attributes = Parse(IFLA_RTA(message), IFLA_PAYLOAD(header));
  Interface found;
  found.index = message->ifi_index;
  found.flags = message->ifi_flags;
  if (attributes.count(IFLA_IFNAME)) found.name = String(attributes[IFLA_IFNAME]);
  if (attributes.count(IFLA_MTU)) found.mtu = Uint32(attributes[IFLA_MTU]);
  if (attributes.count(IFLA_ADDRESS)) {
    auto* bytes = static_cast<unsigned char*>(RTA_DATA(attributes[IFLA_ADDRESS]));
    for (size_t i = 0; i < RTA_PAYLOAD(attributes[IFLA_ADDRESS]); i++) {
      char part[4];
      snprintf(part, sizeof(part), i ? ":%02x" : "%02x", bytes[i]);
      found.mac += part;
    }
  }
  if (attributes.count(IFLA_LINKINFO)) {
    Attributes link = Nested(attributes[IFLA_LINKINFO]);
    if (link.count(IFLA_INFO_KIND)) found.kind = String(link[IFLA_INFO_KIND]);
  }
  if (found.kind.empty()) found.kind = message->ifi_flags & IFF_LOOPBACK ? "loopback" : "device";
  if (attributes.count(IFLA_XDP)) {
    Attributes xdp = Nested(attributes[IFLA_XDP]);
    if (xdp.count(IFLA_XDP_DRV_PROG_ID)) found.xdpNative = Uint32(xdp[IFLA_XDP_DRV_PROG_ID]);
    if (xdp.count(IFLA_XDP_SKB_PROG_ID)) found.xdpGeneric = Uint32(xdp[IFLA_XDP_SKB_PROG_ID]);
    if (xdp.count(IFLA_XDP_HW_PROG_ID)) found.xdpOffload = Uint32(xdp[IFLA_XDP_HW_PROG_ID]);
  }
  return found;
}

void AddAddress(std::map<int, Interface>& interfaces, nlmsghdr* header) {
  auto* message = static_cast<ifaddrmsg*>(NLMSG_DATA(header));
  Attributes attributes = Parse(IFA_RTA(message), IFA_PAYLOAD(header));
  // On point-to-point links IFA_ADDRESS is the peer's.
  rtattr* address = attributes.count(IFA_LOCAL) ? attributes[IFA_LOCAL]
                    : attributes.count(IFA_ADDRESS) ? attributes[IFA_ADDRESS] : nullptr;
  char text[INET6_ADDRSTRLEN];
  if (!address || !inet_ntop(message->ifa_family, RTA_DATA(address), text, sizeof(text))) return;
  auto found = interfaces.find(message->ifa_index);
  if (found != interfaces.end())
    found->second.addresses.push_back(std::string(text) + "/" + std::to_string(message->ifa_prefixlen));
}

// Asks for a dump and calls `each` for its messages.
template <typename Each>
void Dump(int fd, uint16_t type, Each each) {
  struct {
    nlmsghdr header;
    rtgenmsg message;
  } request = {};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.message));
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.rtgen_family = AF_UNSPEC;
  if (send(fd, &request, request.header.nlmsg_len, 0) < 0) Fail("ask rtnetlink", errno);
  std::string buffer(256 * 1024, '\0');
  for (;;) {
    ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0) Fail("read rtnetlink", errno);
    int left = length;
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return;
      if (header->nlmsg_type == NLMSG_ERROR) {
        Fail("read rtnetlink", -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error);
      }
      each(header);
    }
  }
}

struct Socket {
  Socket() : fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
    if (fd < 0) Fail("open rtnetlink", errno);
  }
  ~Socket() { close(fd); }
  int fd;
};

// listInterfaces(operation, netns)
Napi::Value ListInterfaces(const Napi::CallbackInfo& info) {
  std::string netns = Text(info[1]);
  return Start(info, [netns]() -> Deliver {
    EnterNetworkNamespace(netns);
    Socket rtnetlink;
    std::map<int, Interface> interfaces;
    Dump(rtnetlink.fd, RTM_GETLINK, [&](nlmsghdr* header) {
      if (header->nlmsg_type != RTM_NEWLINK) return;
      Interface found = ParseLink(header);
      interfaces[found.index] = found;
    });
    Dump(rtnetlink.fd, RTM_GETADDR, [&](nlmsghdr* header) {
      if (header->nlmsg_type == RTM_NEWADDR) AddAddress(interfaces, header);
    });
    return [interfaces](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env);
      for (const auto& [index, one] : interfaces) {
        Napi::Object item = Napi::Object::New(env);
        item.Set("index", Napi::Number::New(env, index));
        item.Set("name", one.name);
        item.Set("kind", one.kind);
        item.Set("mac", one.mac);
        item.Set("up", Napi::Boolean::New(env, (one.flags & IFF_UP) != 0));
        item.Set("mtu", Napi::Number::New(env, one.mtu));
        Napi::Array addresses = Napi::Array::New(env);
        for (size_t i = 0; i < one.addresses.size(); i++) addresses.Set(i, one.addresses[i]);
        item.Set("addresses", addresses);
        item.Set("xdpNative", Napi::Number::New(env, one.xdpNative));
        item.Set("xdpGeneric", Napi::Number::New(env, one.xdpGeneric));
        item.Set("xdpOffload", Napi::Number::New(env, one.xdpOffload));
        list.Set(list.Length(), item);
      }
      return list;
    };
  });
}

}  // namespace

void InitNetwork(Napi::Env env, Napi::Object exports) { Export(env, exports, "listInterfaces", ListInterfaces); }

}  // namespace studio
