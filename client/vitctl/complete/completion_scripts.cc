#include "client/vitctl/complete/completion_scripts.h"

namespace vit {
namespace {

// `vitctl __complete -- WORDS...` prints one candidate per line, with its description after a tab,
// then a line ":files" if file names are wanted, or ":nospace" if no blank is to follow the word.

// Bash breaks words at ':' and '=', so words are joined again first, and what precedes the last
// break is removed from the candidates.
constexpr char kBash[] = R"sh(# bash completion for vitctl
_vitctl() {
  local line="${COMP_LINE:0:COMP_POINT}" words word candidate prefix
  read -r -a words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  word="${words[-1]}"
  prefix="${word%"${word##*[:=]}"}"
  COMPREPLY=()
  while IFS= read -r candidate; do
    case "$candidate" in
      :files)
        compopt -o filenames 2>/dev/null
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done \
          < <(compgen -f -- "${word##*[:=]}")
        ;;
      :nospace) compopt -o nospace 2>/dev/null ;;
      *)
        candidate="${candidate%%$'\t'*}"
        COMPREPLY+=("${candidate#"$prefix"}")
        ;;
    esac
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _vitctl vitctl
)sh";

constexpr char kZsh[] = R"sh(#compdef vitctl
_vitctl() {
  local line candidate
  local -a described suffix
  local files=0
  while IFS= read -r line; do
    case "$line" in
      :files) files=1 ;;
      :nospace) suffix=(-S '') ;;
      *)
        candidate="${line%%$'\t'*}"
        candidate="${candidate//:/\\:}"
        if [[ "$line" == *$'\t'* ]]; then
          described+=("$candidate:${line#*$'\t'}")
        else
          described+=("$candidate")
        fi
        ;;
    esac
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#described} )) && _describe -t vitctl 'vitctl' described "${(@)suffix}"
  if (( files )); then
    compset -P '*[:=]'
    _files
  fi
}
if [[ "${funcstack[1]}" = _vitctl ]]; then
  _vitctl "$@"
else
  compdef _vitctl vitctl
fi
)sh";

constexpr char kFish[] = R"sh(# fish completion for vitctl
function __vitctl_complete
    set -l token (commandline -ct)
    set -l words (commandline -opc) "$token"
    for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                set -l before (string replace -r '[^:=]*$' '' -- $token)
                for file in (__fish_complete_path (string replace -r '.*[:=]' '' -- $token))
                    echo $before$file
                end
            case :nospace
            case '*'
                echo $line
        end
    end
end
complete -c vitctl -f -a '(__vitctl_complete)'
)sh";

}  // namespace

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  return kFish;
}

}  // namespace vit
