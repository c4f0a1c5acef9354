// File descriptors, credentials of a socket's peer, and the process's own capabilities.
#include <bpf/bpf.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

namespace studio {
namespace {

Napi::Value CloseFd(const Napi::CallbackInfo& info) {
  close(Number(info[0], -1));
  return info.Env().Undefined();
}

using GetFdById = int (*)(uint32_t);

// {map,program,link,btf}OpenById(operation, id): a file descriptor.
template <GetFdById get>
Napi::Value OpenById(const Napi::CallbackInfo& info) {
  uint32_t id = Number(info[1]);
  return Start(info, [id]() -> Deliver {
    int fd = Check("BPF_*_GET_FD_BY_ID", get(id));
    return [fd](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, fd); };
  });
}

// peerCredentials(fd): {pid, uid, gid} of the process that connected a Unix socket, see unix(7).
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct ucred peer = {};
  socklen_t length = sizeof(peer);
  if (getsockopt(Number(info[0], -1), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
    throw Napi::Error::New(env, std::string("SO_PEERCRED: ") + ErrnoName(errno));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

// exitNow(status): without destructors, which worker threads that are still in a system call could trip over. The
// kernel releases programs, maps and links with the file descriptors.
Napi::Value ExitNow(const Napi::CallbackInfo& info) { _exit(Number(info[0])); }

}  // namespace

void InitProcess(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "closeFd", CloseFd);
  Export(env, exports, "mapOpenById", OpenById<bpf_map_get_fd_by_id>);
  Export(env, exports, "programOpenById", OpenById<bpf_prog_get_fd_by_id>);
  Export(env, exports, "linkOpenById", OpenById<bpf_link_get_fd_by_id>);
  Export(env, exports, "btfOpenById", OpenById<bpf_btf_get_fd_by_id>);
  Export(env, exports, "peerCredentials", PeerCredentials);
  Export(env, exports, "exitNow", ExitNow);
}

}  // namespace studio
