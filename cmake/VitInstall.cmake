# `cmake --install build/release --prefix DIR` installs DIR/bin/vitd, which starts DIR/libexec/vitd/vitd-daemon, and
# DIR/bin/vitctl. The libraries of LibTorch that vitd needs go to DIR/lib/vitd, so that DIR can be moved as a whole. Debian's
# libraries are not copied. With VIT_BUNDLE LibTorch is left out, and scripts/bundle adds Debian's libraries.

install(TARGETS vitctl vitd RUNTIME DESTINATION bin)
install(TARGETS vitd_daemon RUNTIME DESTINATION libexec/vitd)
set_target_properties(vitd_daemon PROPERTIES INSTALL_RPATH "$ORIGIN/../../lib/vitd")
if(VIT_BUNDLE)
  set_target_properties(vitctl PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/vitd")
  # The programs that check-gpu runs.
  set(tools device_check training_speed serving_bench loader_bench make_shapes)
  install(PROGRAMS scripts/check-gpu DESTINATION bin)
  add_custom_target(bundle_programs DEPENDS vitd vitctl ${tools})
  install(TARGETS ${tools} RUNTIME DESTINATION libexec/vitd)
  set_target_properties(${tools} PROPERTIES INSTALL_RPATH "$ORIGIN/../../lib/vitd")
  foreach(program vitctl vitd_daemon ${tools})
    # DT_RPATH, because it also applies to the libraries' own dependencies.
    target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
  endforeach()
  return()
endif()

# The wheel brings its own OpenMP library; another LibTorch may use the system's.
file(GLOB openmp ${LIBTORCH}/lib/libgomp*.so*)
install(FILES ${LIBTORCH}/lib/libtorch_cpu.so ${LIBTORCH}/lib/libc10.so ${openmp} DESTINATION lib/vitd)
if(CUDA_INCLUDE)
  # The CUDA build loads more than it links, partly by name, so everything but its Python bindings is installed.
  install(DIRECTORY ${LIBTORCH}/lib/ DESTINATION lib/vitd
    FILES_MATCHING PATTERN "*.so*" PATTERN "libtorch_python*" EXCLUDE PATTERN "libshm*" EXCLUDE)
  file(GLOB cuda_libraries ${LIBTORCH}/../nvidia/*/lib/*.so*)
  # LibTorch never loads these: profiling tools, network plug-ins, compatibility libraries.
  list(FILTER cuda_libraries EXCLUDE REGEX
    "/(nvshmem_(transport|bootstrap)_|lib(checkpoint|cufftw|cufile_rdma|cusolverMg|nvblas|nvperf|nvtx3interop|pcsampling)|[^/]*\\.alt\\.so)[^/]*$")
  install(FILES ${CUDART} ${cuda_libraries} DESTINATION lib/vitd)
endif()
