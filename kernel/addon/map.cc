// Maps by file descriptor: single elements, pages of elements, information.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "core.h"

namespace studio {
namespace {

Deliver Nothing() {
  return [](Napi::Env env) { return env.Undefined(); };
}

// A key of no bytes (queue, stack, bloom filter) must be a null pointer.
const void* KeyPointer(const std::string& key) { return key.empty() ? nullptr : key.data(); }

Deliver ValueOrNull(std::shared_ptr<std::string> value) {
  return [value](Napi::Env env) -> Napi::Value {
    return value ? MakeBytes(env, std::move(*value)) : env.Null();
  };
}

// mapLookup(operation, fd, key, valueSize, flags): the value, or null when the map has no such key.
// `valueSize` is what the kernel writes: for per-CPU maps the stride times the number of possible CPUs.
Napi::Value MapLookup(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  std::string key = Bytes(info[2]);
  size_t size = Number(info[3]);
  uint64_t flags = Unsigned64(info[4]);
  std::string asked = Bytes(info[5]);
  return Start(info, [=]() -> Deliver {
    auto value = std::make_shared<std::string>(asked);
    value->resize(size);
    int result = bpf_map_lookup_elem_flags(fd, KeyPointer(key), value->data(), flags);
    if (result == -ENOENT) return ValueOrNull(nullptr);
    Check("BPF_MAP_LOOKUP_ELEM", result);
    return ValueOrNull(value);
  });
}

// mapUpdate(operation, fd, key, value, flags)
Napi::Value MapUpdate(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  std::string key = Bytes(info[2]);
  std::string value = Bytes(info[3]);
  uint64_t flags = Unsigned64(info[4]);
  return Start(info, [=]() -> Deliver {
    Check("BPF_MAP_UPDATE_ELEM", bpf_map_update_elem(fd, KeyPointer(key), value.data(), flags));
    return Nothing();
  });
}

// mapDelete(operation, fd, key): whether there was such a key.
Napi::Value MapDelete(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  std::string key = Bytes(info[2]);
  return Start(info, [=]() -> Deliver {
    int result = bpf_map_delete_elem(fd, key.data());
    if (result < 0 && result != -ENOENT) Fail("BPF_MAP_DELETE_ELEM", -result);
    return [existed = result == 0](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, existed); };
  });
}

// mapLookupAndDelete(operation, fd, key, valueSize): for queue and stack, pop.
Napi::Value MapLookupAndDelete(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  std::string key = Bytes(info[2]);
  size_t size = Number(info[3]);
  return Start(info, [=]() -> Deliver {
    auto value = std::make_shared<std::string>(size, '\0');
    int result = bpf_map_lookup_and_delete_elem(fd, KeyPointer(key), value->data());
    if (result == -ENOENT) return ValueOrNull(nullptr);
    Check("BPF_MAP_LOOKUP_AND_DELETE_ELEM", result);
    return ValueOrNull(value);
  });
}

struct Page {
  std::string keys, values, cursor;
  size_t count = 0;
  int unreadable = 0;  // errno of a value that could not be read
};

Deliver DeliverPage(std::shared_ptr<Page> page) {
  return [page](Napi::Env env) -> Napi::Value {
    Napi::Object result = Napi::Object::New(env);
    result.Set("keys", MakeBytes(env, std::move(page->keys)));
    result.Set("values", MakeBytes(env, std::move(page->values)));
    result.Set("count", Napi::Number::New(env, page->count));
    if (!page->cursor.empty()) result.Set("cursor", MakeBytes(env, std::move(page->cursor)));
    if (page->unreadable) result.Set("unreadable", ErrnoName(page->unreadable));
    return result;
  };
}

// A batch cursor: the kernel's own position, and how many elements after it were delivered already. The second part
// is needed when one hash bucket holds more than a page: the kernel cannot stop inside a bucket.
struct BatchCursor {
  std::string position;
  uint32_t skip = 0;
};

BatchCursor ParseCursor(const std::string& text, size_t positionSize) {
  BatchCursor cursor;
  if (text.empty()) return cursor;
  if (text.size() != 5 + positionSize) Fail("BPF_MAP_LOOKUP_BATCH", EINVAL, "the cursor is not one of this map's");
  memcpy(&cursor.skip, text.data() + 1, 4);
  if (text[0]) cursor.position = text.substr(5);
  return cursor;
}

std::string FormatCursor(const BatchCursor& cursor, size_t positionSize) {
  std::string text(5 + positionSize, '\0');
  text[0] = !cursor.position.empty();
  memcpy(text.data() + 1, &cursor.skip, 4);
  memcpy(text.data() + 5, cursor.position.data(), cursor.position.size());
  return text;
}

// mapReadBatch(operation, fd, keySize, valueSize, limit, cursor?): a page through BPF_MAP_LOOKUP_BATCH.
// Fails with EINVAL, ENOTSUPP or EOPNOTSUPP where the kernel has no batch lookup for the map's type.
Napi::Value MapReadBatch(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  size_t keySize = Number(info[2]);
  size_t valueSize = Number(info[3]);
  uint32_t limit = std::max<int64_t>(1, Number(info[4]));
  std::string cursorText = Bytes(info[5]);
  return Start(info, [=]() -> Deliver {
    // The kernel keeps a u32 (hash tables) or a key (the others) as its position.
    size_t positionSize = std::max<size_t>(keySize, sizeof(uint32_t));
    BatchCursor cursor = ParseCursor(cursorText, positionSize);
    std::string next(positionSize, '\0');
    auto page = std::make_shared<Page>();
    uint32_t room = limit + cursor.skip;
    uint32_t count;
    int result;
    for (;;) {
      page->keys.resize(room * keySize);
      page->values.resize(room * valueSize);
      count = room;
      result = bpf_map_lookup_batch(fd, cursor.position.empty() ? nullptr : cursor.position.data(), next.data(),
                                    page->keys.data(), page->values.data(), &count, nullptr);
      if (result != -ENOSPC || room > (1u << 24) || Cancelled()) break;
      room *= 2;
    }
    bool end = result == -ENOENT;
    if (!end) Check("BPF_MAP_LOOKUP_BATCH", result);
    uint32_t skipped = std::min(cursor.skip, count);
    page->count = std::min(count - skipped, limit);
    bool rest = count - skipped > limit;
    if (skipped) {
      page->keys.erase(0, skipped * keySize);
      page->values.erase(0, skipped * valueSize);
    }
    page->keys.resize(page->count * keySize);
    page->values.resize(page->count * valueSize);
    if (rest) {
      page->cursor = FormatCursor({cursor.position, cursor.skip + limit}, positionSize);
    } else if (!end) {
      page->cursor = FormatCursor({next, 0}, positionSize);
    }
    return DeliverPage(page);
  });
}

// mapReadEach(operation, fd, keySize, valueSize, limit, cursor?): a page through BPF_MAP_GET_NEXT_KEY and one lookup
// an element. The cursor is the last key. A value that cannot be read leaves zeros and sets `unreadable`.
Napi::Value MapReadEach(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  size_t keySize = Number(info[2]);
  size_t valueSize = Number(info[3]);
  size_t limit = std::max<int64_t>(1, Number(info[4]));
  std::string previous = Bytes(info[5]);
  return Start(info, [=]() -> Deliver {
    auto page = std::make_shared<Page>();
    if (!previous.empty() && previous.size() != keySize)
      Fail("BPF_MAP_GET_NEXT_KEY", EINVAL, "the cursor is not one of this map's");
    std::string key = previous;
    std::string next(keySize, '\0');
    std::string value(valueSize, '\0');
    // A hash table forgets its place when the key it was at is deleted meanwhile and starts again at its beginning;
    // the number of steps is bounded so that a busy map cannot hold this loop for ever.
    for (size_t steps = 0; page->count < limit && steps < limit + (1u << 20) && !Cancelled(); steps++) {
      int result = bpf_map_get_next_key(fd, key.empty() ? nullptr : key.data(), next.data());
      if (result == -ENOENT) return DeliverPage(page);
      Check("BPF_MAP_GET_NEXT_KEY", result);
      key = next;
      result = bpf_map_lookup_elem(fd, key.data(), value.data());
      if (result == -ENOENT) continue;  // deleted since, or an empty slot of an array of maps or programs
      if (result < 0) {
        page->unreadable = -result;
        value.assign(valueSize, '\0');
      }
      page->keys += key;
      page->values += value;
      page->count++;
    }
    page->cursor = key;
    return DeliverPage(page);
  });
}

// mapInfo(operation, fd): struct bpf_map_info.
Napi::Value MapInfo(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    struct bpf_map_info map = {};
    uint32_t length = sizeof(map);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_map_get_info_by_fd(fd, &map, &length));
    // Whether it is frozen is told only by fdinfo.
    bool frozen = false;
    if (FILE* file = fopen(("/proc/self/fdinfo/" + std::to_string(int(fd))).c_str(), "re")) {
      char line[256];
      int flag = 0;
      while (fgets(line, sizeof(line), file))
        if (sscanf(line, "frozen: %d", &flag) == 1) frozen = flag;
      fclose(file);
    }
    return [map, frozen](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      const char* type = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(map.type));
      result.Set("id", Napi::Number::New(env, map.id));
      result.Set("typeNumber", Napi::Number::New(env, map.type));
      result.Set("type", type ? std::string(type) : "type " + std::to_string(map.type));
      result.Set("name", std::string(map.name, strnlen(map.name, sizeof(map.name))));
      result.Set("keySize", Napi::Number::New(env, map.key_size));
      result.Set("valueSize", Napi::Number::New(env, map.value_size));
      result.Set("maxEntries", Napi::Number::New(env, map.max_entries));
      result.Set("flags", Napi::Number::New(env, map.map_flags));
      result.Set("btfId", Napi::Number::New(env, map.btf_id));
      result.Set("keyTypeId", Napi::Number::New(env, map.btf_key_type_id));
      result.Set("valueTypeId", Napi::Number::New(env, map.btf_value_type_id));
      result.Set("vmlinuxValueTypeId", Napi::Number::New(env, map.btf_vmlinux_value_type_id));
      result.Set("frozen", Napi::Boolean::New(env, frozen));
      return result;
    };
  });
}

}  // namespace

void InitMap(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "mapLookup", MapLookup);
  Export(env, exports, "mapUpdate", MapUpdate);
  Export(env, exports, "mapDelete", MapDelete);
  Export(env, exports, "mapLookupAndDelete", MapLookupAndDelete);
  Export(env, exports, "mapReadBatch", MapReadBatch);
  Export(env, exports, "mapReadEach", MapReadEach);
  Export(env, exports, "mapInfo", MapInfo);
  exports.Set("possibleCpus", Napi::Number::New(env, libbpf_num_possible_cpus()));
}

}  // namespace studio
