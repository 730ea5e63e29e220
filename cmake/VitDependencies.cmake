# Every outside library, as one imported target each.

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(JPEG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
if(VIT_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
endif()
if(VIT_BUILD_BENCH)
  find_package(benchmark CONFIG REQUIRED)
endif()

# OpenCV's own CMake package asks for every module; these three are all that is used.
add_library(vit_opencv INTERFACE)
target_include_directories(vit_opencv SYSTEM INTERFACE /usr/include/opencv4)
target_link_libraries(vit_opencv INTERFACE opencv_imgcodecs opencv_imgproc opencv_core)

# ONNX's messages alone, generated from the schema that its package ships: linking libonnx would bring the registry of
# all its operators.
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

# LibTorch: $LIBTORCH, or the wheel that scripts/bootstrap puts into .venv. Not through its CMake package, which asks
# for CUDA's compiler and Caffe2.
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
add_library(vit_torch INTERFACE)
# -idirafter: the wheel carries other versions of google/protobuf and fmt, which must never win over Debian's.
target_compile_options(vit_torch INTERFACE
  "SHELL:-idirafter ${LIBTORCH}/include" "SHELL:-idirafter ${LIBTORCH}/include/torch/csrc/api/include")
target_link_libraries(vit_torch INTERFACE ${LIBTORCH}/lib/libtorch_cpu.so ${LIBTORCH}/lib/libc10.so Threads::Threads)
if(EXISTS ${LIBTORCH}/lib/libtorch_cuda.so)
  # Nothing refers to these by symbol; they register themselves when loaded.
  target_link_libraries(vit_torch INTERFACE
    "-Wl,--no-as-needed,${LIBTORCH}/lib/libtorch_cuda.so,${LIBTORCH}/lib/libc10_cuda.so,--as-needed")
  target_compile_definitions(vit_torch INTERFACE VIT_WITH_CUDA)
  find_path(CUDA_INCLUDE cuda_runtime_api.h
    PATHS ${LIBTORCH}/../nvidia/cu13/include ${LIBTORCH}/../nvidia/cuda_runtime/include /usr/local/cuda/include REQUIRED)
  target_compile_options(vit_torch INTERFACE "SHELL:-idirafter ${CUDA_INCLUDE}")
endif()
set(CMAKE_BUILD_RPATH ${LIBTORCH}/lib)
