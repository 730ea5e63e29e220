# vit_library(NAME [TORCH] [EXCEPT files...] [SOURCES generated files...] PUBLIC_HEADERS headers... DEPS targets...
# PRIVATE_DEPS targets...): one room as a static library vit::NAME, made of every *.cc in its folder and the folders below,
# except EXCEPT. PUBLIC_HEADERS are those that other rooms may include; scripts/check-structure checks this.
# TORCH compiles the room with the precompiled LibTorch header: other rooms cannot include a header that needs LibTorch.
function(vit_library name)
  cmake_parse_arguments(ARG "TORCH" "" "EXCEPT;SOURCES;PUBLIC_HEADERS;DEPS;PRIVATE_DEPS" ${ARGN})
  file(GLOB_RECURSE sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS *.cc)
  if(ARG_EXCEPT)
    list(REMOVE_ITEM sources ${ARG_EXCEPT})
  endif()
  add_library(vit_${name} STATIC ${sources} ${ARG_SOURCES})
  add_library(vit::${name} ALIAS vit_${name})
  target_include_directories(vit_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(vit_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  if(ARG_TORCH)
    vit_use_torch(vit_${name})
  endif()
endfunction()

# Compiles `target` against LibTorch, with the shared precompiled header.
function(vit_use_torch target)
  target_link_libraries(${target} PRIVATE vit_torch)
  target_precompile_headers(${target} REUSE_FROM vit_torch_pch)
endfunction()

file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cc "// Holds the precompiled LibTorch header.\n")
add_library(vit_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cc)
target_link_libraries(vit_torch_pch PRIVATE vit_torch)
target_precompile_headers(vit_torch_pch PRIVATE <torch/torch.h>)

# Environment variables for the runtimes of the sanitizers and OpenMP; every test gets them.
set(VIT_TEST_ENVIRONMENT
  "OMP_WAIT_POLICY=passive"
  "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1"
  "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp"
  "ASAN_OPTIONS=detect_stack_use_after_return=0:allocator_may_return_null=1"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")

# vit_test(NAME SOURCES... [TORCH] DEPS targets... [TIMEOUT seconds] [LABELS labels...]): one test program. Its folder's
# name becomes a label (base, data, server, e2e, ...), and the target <folder>_tests builds all tests of that folder. Tests
# labelled e2e start daemons that use every core, so each runs alone.
function(vit_test name)
  cmake_parse_arguments(ARG "TORCH" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main GTest::gtest)
  target_compile_definitions(${name} PRIVATE
    VIT_SOURCE_DIR="${CMAKE_SOURCE_DIR}" VIT_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(ARG_TORCH)
    vit_use_torch(${name})
  endif()
  get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  if(NOT TARGET ${room}_tests)
    add_custom_target(${room}_tests)
  endif()
  add_dependencies(${room}_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  list(APPEND ARG_LABELS ${room})
  list(REMOVE_DUPLICATES ARG_LABELS)
  if("e2e" IN_LIST ARG_LABELS)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900)
  endif()
  if(VIT_SANITIZE)
    math(EXPR ARG_TIMEOUT "3 * ${ARG_TIMEOUT}")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "${VIT_TEST_ENVIRONMENT}")
endfunction()
