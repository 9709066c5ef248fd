# bash completion for weftd(8)                                                                -*- shell-script -*-

_weftd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
        -c | --config | -s | --socket)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W '-c --config -s --socket -p --parse --purge --dry-run --doctor
        --no-nexthop-objects --version -h --help' -- "$cur")
} && complete -o filenames -F _weftd weftd
