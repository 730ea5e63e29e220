// One copy of a loop per instruction set, chosen when the program starts.
#ifndef VIT_CORE_BASE_SIMD_CLONES_H_
#define VIT_CORE_BASE_SIMD_CLONES_H_

// The sanitizers' runtime is not initialised yet when the copy is chosen.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define VIT_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VIT_SIMD_CLONES
#endif

#endif  // VIT_CORE_BASE_SIMD_CLONES_H_
