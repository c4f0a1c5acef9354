// What is loaded in the kernel, by id, and which processes hold it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <map>

#include "core.h"

namespace studio {
namespace {

using NextId = int (*)(uint32_t, uint32_t*);

// list{Program,Map,Link,Btf}Ids(operation): ascending.
template <NextId next>
Napi::Value ListIds(const Napi::CallbackInfo& info) {
  return Start(info, []() -> Deliver {
    std::vector<uint32_t> ids;
    uint32_t id = 0;
    for (;;) {
      int result = next(id, &id);
      if (result == -ENOENT) break;
      Check("BPF_*_GET_NEXT_ID", result);
      ids.push_back(id);
    }
    return [ids](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env, ids.size());
      for (size_t i = 0; i < ids.size(); i++) list.Set(i, Napi::Number::New(env, ids[i]));
      return list;
    };
  });
}

std::string ReadLink(int directory, const char* name) {
  char target[128];
  ssize_t length = readlinkat(directory, name, target, sizeof(target));
  return std::string(target, std::max<ssize_t>(0, length));
}

// `prog_id:` or `map_id:` of a descriptor, from its fdinfo; 0 when it has none.
uint32_t IdFromFdinfo(const std::string& path, const char* field) {
  FILE* file = fopen(path.c_str(), "re");
  if (!file) return 0;
  char line[256];
  uint32_t id = 0;
  size_t length = strlen(field);
  while (!id && fgets(line, sizeof(line), file))
    if (strncmp(line, field, length) == 0) id = strtoul(line + length, nullptr, 10);
  fclose(file);
  return id;
}

using Holders = std::map<uint32_t, std::vector<int>>;

void AddHolder(Holders& holders, uint32_t id, int pid) {
  if (!id) return;
  auto& pids = holders[id];
  if (pids.empty() || pids.back() != pid) pids.push_back(pid);
}

// Looks through one process's descriptors. A process that ended meanwhile, or that may not be looked into, holds
// nothing that could be told.
void AddProcess(const std::string& pid, Holders& programs, Holders& maps) {
  std::string base = "/proc/" + pid;
  DIR* directory = opendir((base + "/fd").c_str());
  if (!directory) return;
  while (dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    std::string target = ReadLink(dirfd(directory), entry->d_name);
    if (target.compare(0, 15, "anon_inode:bpf-") != 0 && target.compare(0, 15, "anon_inode:bpf_") != 0) continue;
    std::string fdinfo = base + "/fdinfo/" + entry->d_name;
    if (target == "anon_inode:bpf-map") {
      AddHolder(maps, IdFromFdinfo(fdinfo, "map_id:"), atoi(pid.c_str()));
    } else {
      AddHolder(programs, IdFromFdinfo(fdinfo, "prog_id:"), atoi(pid.c_str()));
    }
  }
  closedir(directory);
}

Napi::Value ToEntries(Napi::Env env, const Holders& holders) {
  Napi::Array list = Napi::Array::New(env);
  for (const auto& [id, pids] : holders) {
    Napi::Array array = Napi::Array::New(env);
    for (size_t i = 0; i < pids.size(); i++) array.Set(i, Napi::Number::New(env, pids[i]));
    Napi::Array entry = Napi::Array::New(env);
    entry.Set(uint32_t(0), Napi::Number::New(env, id));
    entry.Set(uint32_t(1), array);
    list.Set(list.Length(), entry);
  }
  return list;
}

// listHolders(operation): {programs, maps}, each a list of [id, pids], of processes with a descriptor of it (or of a
// link of it).
Napi::Value ListHolders(const Napi::CallbackInfo& info) {
  return Start(info, []() -> Deliver {
    auto programs = std::make_shared<Holders>();
    auto maps = std::make_shared<Holders>();
    DIR* proc = opendir("/proc");
    if (!proc) Fail("open /proc", errno);
    while (dirent* entry = readdir(proc)) {
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') AddProcess(entry->d_name, *programs, *maps);
      if (Cancelled()) break;
    }
    closedir(proc);
    return [programs, maps](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("programs", ToEntries(env, *programs));
      result.Set("maps", ToEntries(env, *maps));
      return result;
    };
  });
}

// linkInfo(operation, fd): struct bpf_link_info; the fields that its type has.
Napi::Value LinkInfo(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    bpf_link_info link = {};
    char name[256] = {};
    uint32_t length = sizeof(link);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_link_get_info_by_fd(fd, &link, &length));
    // Names are copied to a buffer of the caller's, whose place depends on the type.
    bpf_link_info again = {};
    if (link.type == BPF_LINK_TYPE_RAW_TRACEPOINT) {
      again.raw_tracepoint.tp_name = reinterpret_cast<uint64_t>(name);
      again.raw_tracepoint.tp_name_len = sizeof(name);
    } else if (link.type == BPF_LINK_TYPE_ITER) {
      again.iter.target_name = reinterpret_cast<uint64_t>(name);
      again.iter.target_name_len = sizeof(name);
    } else if (link.type == BPF_LINK_TYPE_PERF_EVENT) {
      uint32_t kind = link.perf_event.type;
      if (kind == BPF_PERF_EVENT_TRACEPOINT) {
        again.perf_event.tracepoint.tp_name = reinterpret_cast<uint64_t>(name);
        again.perf_event.tracepoint.name_len = sizeof(name);
      } else if (kind == BPF_PERF_EVENT_KPROBE || kind == BPF_PERF_EVENT_KRETPROBE) {
        again.perf_event.kprobe.func_name = reinterpret_cast<uint64_t>(name);
        again.perf_event.kprobe.name_len = sizeof(name);
      } else if (kind == BPF_PERF_EVENT_UPROBE || kind == BPF_PERF_EVENT_URETPROBE) {
        again.perf_event.uprobe.file_name = reinterpret_cast<uint64_t>(name);
        again.perf_event.uprobe.name_len = sizeof(name);
      }
    }
    length = sizeof(again);
    if (bpf_link_get_info_by_fd(fd, &again, &length) < 0) name[0] = '\0';
    return [link, name = std::string(name)](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      auto number = [&](const char* key, double value) { result.Set(key, Napi::Number::New(env, value)); };
      const char* type = libbpf_bpf_link_type_str(static_cast<bpf_link_type>(link.type));
      number("id", link.id);
      result.Set("type", type ? std::string(type) : "type " + std::to_string(link.type));
      number("programId", link.prog_id);
      result.Set("name", name);
      switch (link.type) {
        case BPF_LINK_TYPE_XDP: number("ifindex", link.xdp.ifindex); break;
        case BPF_LINK_TYPE_TCX:
          number("ifindex", link.tcx.ifindex);
          number("attachType", link.tcx.attach_type);
          break;
        case BPF_LINK_TYPE_NETKIT:
          number("ifindex", link.netkit.ifindex);
          number("attachType", link.netkit.attach_type);
          break;
        case BPF_LINK_TYPE_CGROUP:
          number("cgroupId", link.cgroup.cgroup_id);
          number("attachType", link.cgroup.attach_type);
          break;
        case BPF_LINK_TYPE_NETNS:
          number("netnsIno", link.netns.netns_ino);
          number("attachType", link.netns.attach_type);
          break;
        case BPF_LINK_TYPE_SOCKMAP:
          number("mapId", link.sockmap.map_id);
          number("attachType", link.sockmap.attach_type);
          break;
        case BPF_LINK_TYPE_TRACING:
          number("attachType", link.tracing.attach_type);
          number("targetObjId", link.tracing.target_obj_id);
          number("targetBtfId", link.tracing.target_btf_id);
          break;
        case BPF_LINK_TYPE_STRUCT_OPS: number("mapId", link.struct_ops.map_id); break;
        case BPF_LINK_TYPE_NETFILTER:
          number("family", link.netfilter.pf);
          number("hookNumber", link.netfilter.hooknum);
          number("priority", link.netfilter.priority);
          break;
        case BPF_LINK_TYPE_KPROBE_MULTI: number("count", link.kprobe_multi.count); break;
        case BPF_LINK_TYPE_PERF_EVENT: number("perfType", link.perf_event.type); break;
        default: break;
      }
      return result;
    };
  });
}

// attachTypeName(number)
Napi::Value AttachTypeName(const Napi::CallbackInfo& info) {
  const char* name = libbpf_bpf_attach_type_str(static_cast<bpf_attach_type>(Number(info[0])));
  return Napi::String::New(info.Env(), name ? name : "attach type " + std::to_string(Number(info[0])));
}

// btfInfo(operation, fd): {id, name, kernel, size}.
Napi::Value BtfInfo(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    char name[64] = {};
    bpf_btf_info types = {};
    types.name = reinterpret_cast<uint64_t>(name);
    types.name_len = sizeof(name);
    uint32_t length = sizeof(types);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_btf_get_info_by_fd(fd, &types, &length));
    return [types, name = std::string(name)](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("id", Napi::Number::New(env, types.id));
      result.Set("name", name);
      result.Set("kernel", Napi::Boolean::New(env, types.kernel_btf != 0));
      result.Set("size", Napi::Number::New(env, types.btf_size));
      return result;
    };
  });
}

}  // namespace

void InitEnumerate(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "listProgramIds", ListIds<bpf_prog_get_next_id>);
  Export(env, exports, "listMapIds", ListIds<bpf_map_get_next_id>);
  Export(env, exports, "listLinkIds", ListIds<bpf_link_get_next_id>);
  Export(env, exports, "listBtfIds", ListIds<bpf_btf_get_next_id>);
  Export(env, exports, "listHolders", ListHolders);
  Export(env, exports, "linkInfo", LinkInfo);
  Export(env, exports, "attachTypeName", AttachTypeName);
  Export(env, exports, "btfInfo", BtfInfo);
}

}  // namespace studio
