/** Words that BPF sources use beyond C's own, and C's words by the role they play. */

const set = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Attributes with arguments, removed with them. */
export const attributeCalls = set(`
  SEC __attribute__ __attribute __aligned __section __declspec _Alignas alignas __counted_by __printf __diag_push
  __preserve_access_index_call __counted_by_ptr __bpf_kfunc_call __cond_acquires __acquires __releases`);

/** Attributes without arguments. */
export const attributes = set(`
  __always_inline __noinline __weak __hidden __ksym __kconfig __kptr __kptr_untrusted __kptr_ref __percpu_kptr
  __uptr __rcu __user __percpu __arena __arena_global __arg_ctx __arg_nonnull __arg_nullable __arg_trusted
  __arg_untrusted __arg_arena __maybe_unused __unused __used __packed __must_check __naked __failure __success
  __extension__ __restrict __restrict__ restrict __inline __inline__ __volatile__ __volatile __const
  __preserve_access_index __bpf_fastcall __bpf_kfunc __contains __hidden_var __noreturn _Noreturn noinline
  __attribute_const__ __pure __cold __hot __deprecated __visible __force __iomem __nonstring`);

/** Inline assembly, with the qualifiers that may follow. */
export const assembly = set('asm __asm__ __asm');

/** `typeof(x)` stands where a type stands. */
export const typeCalls = set('typeof __typeof__ __typeof typeof_unqual __typeof_unqual__ _Atomic _BitInt');

/** Stand where a value stands, with arguments the grammar does not have: types, member paths. */
export const valueCalls = set('_Generic offsetof __builtin_offsetof offsetofend');

/** Members of a map definition in a `.maps` struct; each needs its semicolon. */
export const mapMembers = set('__uint __type __array __ulong');

/** libbpf's macros that are used as functions are: each needs its semicolon. */
export const callMacros =
  /^(BPF_SEQ_PRINTF|BPF_SNPRINTF|BPF_CORE_READ\w*|BPF_PROBE_READ\w*|BPF_CORE_WRITE\w*|PT_REGS_\w+|BPF_CORE_\w+)$/;

/** Macros that expand to a loop's or a branch's head. */
export const loopMacro =
  /^(bpf_for|bpf_for_each|bpf_repeat|__?bpf_for\w*|\w*for_each\w*|\w*foreach\w*|bpf_guard\w*|cond_break_label)$/i;

export const aggregates = set('struct union enum');
export const baseTypes = set(`
  void char short int long float double signed unsigned _Bool bool __int128 __signed__ __auto_type auto`);
export const specifiers = set(`
  const volatile static extern inline register typedef _Thread_local thread_local __thread constexpr _Complex`);
/** Words that begin a type in an argument list. */
export const typeWords = set(`
  struct union enum void char short int long float double signed unsigned _Bool bool const volatile static register
  __int128 __signed__`);
export const statementWords = set('return if for while do goto break continue switch');
/** Words after which another word begins something new. */
export const separators = set(`
  return case goto else do if for while switch break continue default sizeof alignof _Alignof __alignof__ typeof
  __typeof__ _Static_assert static_assert offsetof __builtin_offsetof __label__`);
export const blockKeywords = set('if for while switch else do');
/** Words before a parenthesis that do not call anything. */
export const keywords = set(`
  if for while switch return sizeof alignof _Alignof __alignof__ typeof __typeof__ case goto else do default
  int char long short void unsigned signed float double _Bool const volatile struct union enum static extern
  offsetof __builtin_offsetof`);

/** Names reserved to the implementation that are not types: attribute macros by custom. */
export function looksReserved(word: string): boolean {
  return (
    word.startsWith('__') &&
    !/^__([us]|be|le)\d+$|^__(sum16|wsum|poll_t|int128|addrpair|portpair)$|_t$/.test(word)
  );
}

/** Upper case by custom names macros: `DEFINE_MAP`, `INLINE`. */
export function looksLikeMacroName(word: string): boolean {
  return word.length > 1 && /^_*[A-Z][A-Z0-9_]*$/.test(word) && !callMacros.test(word);
}
