# vit_embed_presets(OUT FUNCTION DIRECTORY): writes a source file that defines vit::FUNCTION(), which returns the
# *.textproto files of DIRECTORY as (name, text) pairs sorted by name. Sets OUT to the path of the source file.
function(vit_embed_presets out function directory)
  file(GLOB files CONFIGURE_DEPENDS ${directory}/*.textproto)
  list(SORT files)
  set(body "")
  foreach(file ${files})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND body "      {\"${name}\", R\"TEXT(${text})TEXT\"},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${function}.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include <string>
#include <utility>
#include <vector>

namespace vit {

const std::vector<std::pair<std::string, std::string>>& @function@() {
  static const auto* const presets = new std::vector<std::pair<std::string, std::string>>{
@body@  };
  return *presets;
}

}  // namespace vit
")
  set(${out} ${source} PARENT_SCOPE)
endfunction()
