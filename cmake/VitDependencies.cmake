# Finds every external library, as one imported target each.

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(Boost 1.81 REQUIRED)  # headers: Asio and Beast
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
if(VIT_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
endif()
if(VIT_BUILD_BENCH)
  find_package(benchmark CONFIG REQUIRED)
endif()

# OpenCV's CMake package requires every module, but vitd uses only these two. imgcodecs, which loads 190 libraries, is only
# for tests.
add_library(vit_opencv INTERFACE)
target_include_directories(vit_opencv SYSTEM INTERFACE /usr/include/opencv4)
target_link_libraries(vit_opencv INTERFACE opencv_imgproc opencv_core)
add_library(vit_opencv_codecs INTERFACE)
target_link_libraries(vit_opencv_codecs INTERFACE opencv_imgcodecs vit_opencv)

# Only ONNX's messages, generated from the schema in its package: linking libonnx would add the registry of all its
# operators.
find_path(ONNX_INCLUDE onnx/onnx.proto REQUIRED)
set(ONNX_GENERATED ${CMAKE_BINARY_DIR}/gen-onnx)
add_custom_command(
  OUTPUT ${ONNX_GENERATED}/onnx/onnx.pb.cc ${ONNX_GENERATED}/onnx/onnx.pb.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${ONNX_GENERATED}
  COMMAND protobuf::protoc -I ${ONNX_INCLUDE} --cpp_out=${ONNX_GENERATED} onnx/onnx.proto
  DEPENDS ${ONNX_INCLUDE}/onnx/onnx.proto)
add_library(vit_onnx STATIC ${ONNX_GENERATED}/onnx/onnx.pb.cc)
target_include_directories(vit_onnx SYSTEM PUBLIC ${ONNX_GENERATED})
target_link_libraries(vit_onnx PUBLIC protobuf::libprotobuf)

# LibTorch: $LIBTORCH, or the wheel that scripts/bootstrap puts into .venv. Its CMake package is not used because it
# requires CUDA's compiler and Caffe2.
set(LIBTORCH "" CACHE PATH "Root of LibTorch: the folder that holds include/ and lib/")
if(DEFINED ENV{LIBTORCH})
  set(LIBTORCH "$ENV{LIBTORCH}" CACHE PATH "Root of LibTorch: the folder that holds include/ and lib/" FORCE)
endif()
if(NOT LIBTORCH)
  file(GLOB candidates ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  if(candidates)
    list(GET candidates 0 LIBTORCH)
  endif()
endif()
if(NOT EXISTS ${LIBTORCH}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "no LibTorch at '${LIBTORCH}': run scripts/bootstrap, or set LIBTORCH to its folder")
endif()
# Forgets what was found last time, as LIBTORCH may have changed.
unset(TORCH_VERSION CACHE)
unset(CUDA_INCLUDE CACHE)
# A wheel states its version in version.py, an archive in build-version.
foreach(name version.py build-version)
  if(EXISTS ${LIBTORCH}/${name} AND NOT TORCH_VERSION)
    file(STRINGS ${LIBTORCH}/${name} TORCH_VERSION REGEX "^(__version__ = ')?[0-9]" LIMIT_COUNT 1)
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" TORCH_VERSION "${TORCH_VERSION}")
  endif()
endforeach()
if(NOT TORCH_VERSION)
  message(FATAL_ERROR "${LIBTORCH} does not state its LibTorch version: it has neither version.py nor build-version; set LIBTORCH to another LibTorch")
endif()
set(TORCH_VERSION ${TORCH_VERSION} CACHE INTERNAL "")
add_library(vit_torch INTERFACE)
# -idirafter: the wheel contains other versions of google/protobuf and fmt, which must not take precedence over Debian's.
target_compile_options(vit_torch INTERFACE
  "SHELL:-idirafter ${LIBTORCH}/include" "SHELL:-idirafter ${LIBTORCH}/include/torch/csrc/api/include")
target_link_libraries(vit_torch INTERFACE ${LIBTORCH}/lib/libtorch_cpu.so ${LIBTORCH}/lib/libc10.so Threads::Threads)
# The wheel is built with NDEBUG, and some of LibTorch's classes have other members without it.
target_compile_definitions(vit_torch INTERFACE $<$<NOT:$<CONFIG:Release>>:NDEBUG>)
# at::parallel_for is a template that runs on one thread if OpenMP is off. It must use LibTorch's threads, which are those of
# GNU's OpenMP: clang would link another OpenMP library. ThreadSanitizer does not see how these threads wait for each other.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT VIT_SANITIZE MATCHES "thread")
  target_compile_options(vit_torch INTERFACE -fopenmp)
  if(EXISTS ${LIBTORCH}/lib/libgomp.so.1)
    target_link_libraries(vit_torch INTERFACE ${LIBTORCH}/lib/libgomp.so.1)
  else()
    target_link_options(vit_torch INTERFACE -fopenmp)
  endif()
endif()
if(EXISTS ${LIBTORCH}/lib/libtorch_cuda.so)
  # Nothing refers to these by symbol; they register themselves when loaded.
  target_link_libraries(vit_torch INTERFACE
    "-Wl,--no-as-needed,${LIBTORCH}/lib/libtorch_cuda.so,${LIBTORCH}/lib/libc10_cuda.so,--as-needed")
  # The runtime and its headers come with LibTorch: as wheels beside it, inside it, or from the toolkit.
  file(GLOB venv_cuda ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/cu13)
  set(cuda_roots ${LIBTORCH}/../nvidia/cu13 ${LIBTORCH}/../nvidia/cuda_runtime ${LIBTORCH} /usr/local/cuda ${venv_cuda})
  find_path(CUDA_INCLUDE cuda_runtime_api.h PATHS ${cuda_roots} PATH_SUFFIXES include NO_DEFAULT_PATH REQUIRED)
  if(NOT EXISTS ${CUDA_INCLUDE}/crt/host_defines.h)
    message(FATAL_ERROR "${CUDA_INCLUDE} has no crt/host_defines.h: run scripts/bootstrap --cuda, or install nvidia-cuda-crt")
  endif()
  foreach(root ${cuda_roots})
    file(GLOB found ${root}/lib/libcudart*.so* ${root}/lib64/libcudart*.so*)
    list(APPEND cudart ${found})
  endforeach()
  if(NOT cudart)
    message(FATAL_ERROR "no libcudart.so beside LibTorch at ${LIBTORCH}: run scripts/bootstrap --cuda")
  endif()
  list(GET cudart 0 CUDART)
  file(REAL_PATH ${CUDART} CUDART)
endif()
set(CMAKE_BUILD_RPATH ${LIBTORCH}/lib)
