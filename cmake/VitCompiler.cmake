# Compiler, linker and cache settings shared by every target.

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Sloppiness: what ccache needs to cache files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  # Debian's mold (1.10) lets the read-only part begin before its page where all thread-local data is zero at first, as that of
  # LibTorch's headers is; such a program may not start ("cannot apply additional memory protection after relocation").
  add_link_options(-fuse-ld=mold -Wl,-z,norelro)
endif()

# -pthread everywhere, as some libraries' targets ask for it and every file must match the precompiled header's flags.
# -fPIC for programs too, so that they can use the libraries' precompiled header.
add_compile_options(-fPIC -pthread -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
# The release build keeps line tables, so that a backtrace or a profile names its source.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

if(VIT_SANITIZE)
  add_compile_options(-fsanitize=${VIT_SANITIZE} -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The checks that are added make GCC 12 see uninitialised values where there are none.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_link_options(-fsanitize=${VIT_SANITIZE})
  if(VIT_SANITIZE MATCHES "undefined")
    # LibTorch and gRPC hide type information that -fsanitize=vptr would need.
    add_compile_options(-fno-sanitize=vptr)
    add_link_options(-fno-sanitize=vptr)
  endif()
endif()

if(VIT_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "VIT_FUZZ needs clang, for libFuzzer: use the preset fuzz, or set CMAKE_CXX_COMPILER=clang++")
  endif()
  # Anything found ends the run. The definition is fuzzing's usual one: no checksum stands in the fuzzer's way.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize-recover=all)
  add_compile_definitions(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION=1)
endif()
