# Compiler, linker and cache settings shared by every target.

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # ccache needs this sloppiness to cache files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# gold links in a third of the time of the default linker. Not mold: Debian's 1.10 misplaces read-only data if all thread-local
# data is initially zero, as in LibTorch's headers, and with -z norelro it may never end.
find_program(GOLD ld.gold)
if(GOLD)
  add_link_options(-fuse-ld=gold)
endif()

# -pthread everywhere, because some libraries' targets require it and every file must match the precompiled header's
# flags. -fPIC for programs too, so that they can use the libraries' precompiled header.
add_compile_options(-fPIC -pthread -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
# The release build keeps line tables, so that a backtrace or a profile names its source.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

if(VIT_SANITIZE)
  add_compile_options(-fsanitize=${VIT_SANITIZE} -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With the added checks, GCC 12 falsely reports uninitialised values.
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
  # Any finding ends the run. The definition is the usual one for fuzzing; it disables checksums, which would stop the fuzzer.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize-recover=all)
  add_compile_definitions(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION=1)
endif()
