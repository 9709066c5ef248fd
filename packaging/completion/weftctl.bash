# bash completion for weftctl(8)                                                              -*- shell-script -*-

_weftctl() {
    local cur prev words cword
    if declare -F _init_completion >/dev/null; then
        _init_completion || return
    else
        COMPREPLY=() words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
        cur=${words[cword]} prev=${words[cword - 1]}
    fi

    case $prev in
        -s | --socket | -c | --config | -f | --filename)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
    esac

    # The words of the command, without the options before it.
    local -a command=()
    local i skip=
    for ((i = 1; i < cword; i++)); do
        if [[ -n $skip ]]; then
            skip=
        elif [[ ${words[i]} =~ ^(-[scfo]|--(socket|config|filename|output))$ ]]; then
            skip=yes
        elif [[ ${words[i]} != --json && (${words[i]} != -* || ${#command[@]} -gt 0) ]]; then
            command+=("${words[i]}")
        fi
    done

    local choices=
    case "${command[*]}" in
        '') choices='show configure explain plan ready accept node help apply get delete -s --socket -c --config --json --version --help' ;;
        show) choices='status nodes pools blocks tunnels routes bgp protocols config events' ;;
        'show routes') choices='for' ;;
        'show protocols') choices='all' ;;
        configure) choices='check timeout confirm undo' ;;
        accept) choices='source' ;;
        node) choices='remove' ;;
        apply) choices='-f' ;;
        get | delete) choices='ippool node bgppeer bgpconfiguration -f' ;;
        ready) choices='--bgp --no-bgp' ;;
    esac
    if [[ $prev == -o || $prev == --output ]]; then
        choices='ps wide yaml json'
    elif [[ $cur == -* && ${command[0]-} == get ]]; then
        choices='-f -o'
    elif [[ $cur == -* && ${command[0]-} == delete ]]; then
        choices='-f --skip-not-exists'
    fi
    if [[ $cur == -* && ${command[0]-} =~ ^(show|plan|explain|ready)$ ]]; then
        choices+=' --json'
    fi
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
    case "${command[*]}" in
        configure | 'configure check' | plan)
            local -a files
            mapfile -t files < <(compgen -f -- "$cur")
            COMPREPLY+=("${files[@]}")
            ;;
    esac
} && complete -o filenames -F _weftctl weftctl
