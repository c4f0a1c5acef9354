// Names that probes can be put on: functions of the kernel, functions and USDT probes of executables and libraries.
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "core.h"

namespace studio {
namespace {

struct Function {
  std::string name;
  uint64_t offset;
};
struct Probe {
  std::string provider, name, arguments;
};
struct Symbols {
  std::vector<Function> functions;
  std::vector<Probe> probes;
  size_t total = 0;
};

struct ElfFile {
  explicit ElfFile(const std::string& path) : fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd < 0) Fail("open " + path, errno);
    elf_version(EV_CURRENT);
    elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
    if (!elf || elf_kind(elf) != ELF_K_ELF) {
      elf_end(elf);
      close(fd);
      Fail("read " + path, ENOEXEC, path + " is not an ELF file");
    }
  }
  ~ElfFile() {
    elf_end(elf);
    close(fd);
  }
  int fd;
  Elf* elf;
};

bool Contains(const char* text, const std::string& part) { return part.empty() || strstr(text, part.c_str()); }

// A uprobe is placed by offset in the file, a symbol by address in memory.
uint64_t FileOffset(Elf* elf, const GElf_Sym& symbol) {
  GElf_Shdr section;
  Elf_Scn* holder = elf_getscn(elf, symbol.st_shndx);
  if (!holder || !gelf_getshdr(holder, &section)) return 0;
  return symbol.st_value - section.sh_addr + section.sh_offset;
}

void ReadFunctions(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, const std::string& contains, size_t limit,
                   std::set<std::string>& seen, Symbols& found) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (!data || header.sh_entsize == 0) return;
  for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
    GElf_Sym symbol;
    if (!gelf_getsym(data, i, &symbol)) break;
    if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (!name || !*name || !Contains(name, contains) || !seen.insert(name).second) continue;
    found.total++;
    if (found.functions.size() < limit) found.functions.push_back({name, FileOffset(elf, symbol)});
  }
}

// .note.stapsdt: three addresses, then provider, name and arguments as strings.
void ReadProbes(Elf_Scn* section, const std::string& contains, size_t limit, std::set<std::string>& seen,
                Symbols& found) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (!data) return;
  GElf_Nhdr note;
  size_t nameAt, contentAt;
  for (size_t at = 0; (at = gelf_getnote(data, at, &note, &nameAt, &contentAt)) > 0;) {
    auto* bytes = static_cast<const char*>(data->d_buf);
    if (note.n_type != 3 || note.n_namesz < 7 || memcmp(bytes + nameAt, "stapsdt", 7) != 0) continue;
    constexpr size_t addresses = 3 * sizeof(uint64_t);
    if (note.n_descsz <= addresses) continue;
    const char* text = bytes + contentAt + addresses;
    const char* end = bytes + contentAt + note.n_descsz;
    std::string parts[3];
    for (auto& part : parts) {
      if (text >= end) break;
      part.assign(text, strnlen(text, end - text));
      text += part.size() + 1;
    }
    std::string key = parts[0] + ":" + parts[1];
    if (!Contains(key.c_str(), contains) || !seen.insert(key).second) continue;
    found.total++;
    if (found.probes.size() < limit) found.probes.push_back({parts[0], parts[1], parts[2]});
  }
}

// listBinarySymbols(operation, path, contains, limit): {functions, probes, total}.
Napi::Value ListBinarySymbols(const Napi::CallbackInfo& info) {
  std::string path = Text(info[1]);
  std::string contains = Text(info[2]);
  size_t limit = Number(info[3]);
  return Start(info, [=]() -> Deliver {
    ElfFile file(path);
    auto found = std::make_shared<Symbols>();
    std::set<std::string> functions, probes;
    size_t names = 0;
    elf_getshdrstrndx(file.elf, &names);
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(file.elf, section)) && !Cancelled();) {
      GElf_Shdr header;
      if (!gelf_getshdr(section, &header)) continue;
      const char* name = elf_strptr(file.elf, names, header.sh_name);
      if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) {
        ReadFunctions(file.elf, section, header, contains, limit, functions, *found);
      } else if (header.sh_type == SHT_NOTE && name && strcmp(name, ".note.stapsdt") == 0) {
        ReadProbes(section, contains, limit, probes, *found);
      }
    }
    return [found](Napi::Env env) -> Napi::Value {
      Napi::Array functionList = Napi::Array::New(env);
      for (const auto& one : found->functions) {
        Napi::Object item = Napi::Object::New(env);
        item.Set("name", one.name);
        item.Set("offset", Napi::BigInt::New(env, one.offset));
        functionList.Set(functionList.Length(), item);
      }
      Napi::Array probeList = Napi::Array::New(env);
      for (const auto& one : found->probes) {
        Napi::Object item = Napi::Object::New(env);
        item.Set("provider", one.provider);
        item.Set("name", one.name);
        item.Set("arguments", one.arguments);
        probeList.Set(probeList.Length(), item);
      }
      Napi::Object result = Napi::Object::New(env);
      result.Set("functions", functionList);
      result.Set("probes", probeList);
      result.Set("total", Napi::Number::New(env, found->total));
      return result;
    };
  });
}

// Padding in front of a function, which the compiler or objtool names for it; no code of the kernel calls it.
bool IsPadding(const std::string& name) { return name.rfind("__pfx_", 0) == 0 || name.rfind("__cfi_", 0) == 0; }

// The function that a line of available_filter_functions (`name [module]`) or kallsyms (`address t name [module]`) is
// about; empty for data and padding.
std::string FunctionOf(const std::string& line, bool kallsyms) {
  size_t start = 0;
  if (kallsyms) {
    size_t type = line.find(' ');
    if (type == std::string::npos || type + 3 > line.size()) return {};
    if (line[type + 1] != 't' && line[type + 1] != 'T') return {};
    start = type + 3;
  }
  std::string name = line.substr(start, line.find_first_of(" \t", start) - start);
  return IsPadding(name) ? std::string() : name;
}

// listKernelFunctions(operation, file, contains, limit): {functions, total}, sorted, each name once.
Napi::Value ListKernelFunctions(const Napi::CallbackInfo& info) {
  std::string path = Text(info[1]);
  std::string contains = Text(info[2]);
  size_t limit = Number(info[3]);
  return Start(info, [=]() -> Deliver {
    std::ifstream file(path);
    if (!file) Fail("open " + path, errno);
    bool kallsyms = path == "/proc/kallsyms";
    auto found = std::make_shared<std::set<std::string>>();
    for (std::string line; std::getline(file, line) && !Cancelled();) {
      std::string name = FunctionOf(line, kallsyms);
      if (!name.empty() && Contains(name.c_str(), contains)) found->insert(std::move(name));
    }
    return [found, limit](Napi::Env env) -> Napi::Value {
      Napi::Array functions = Napi::Array::New(env);
      for (const auto& name : *found) {
        if (functions.Length() >= limit) break;
        functions.Set(functions.Length(), name);
      }
      Napi::Object result = Napi::Object::New(env);
      result.Set("functions", functions);
      result.Set("total", Napi::Number::New(env, found->size()));
      return result;
    };
  });
}

}  // namespace

void InitSymbols(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "listBinarySymbols", ListBinarySymbols);
  Export(env, exports, "listKernelFunctions", ListKernelFunctions);
}

}  // namespace studio
