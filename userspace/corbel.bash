# SPDX-License-Identifier: GPL-2.0-only
# bash completion for corbel(1). The options come from the program itself.

_corbel_value() {
	local cur=$2

	case $1 in
	--kernel|--initrd|--disk|--device) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--memory-backend) mapfile -t COMPREPLY < <(compgen -W 'anon memfd hugetlb' -- "$cur") ;;
	--mmu) mapfile -t COMPREPLY < <(compgen -W 'auto tdp shadow-wp shadow-lazy' -- "$cur") ;;
	--net) mapfile -t COMPREPLY < <(compgen -W 'user user,restrict tap= none' -- "$cur") ;;
	--hostfwd) mapfile -t COMPREPLY < <(compgen -W 'tcp: udp:' -- "$cur") ;;
	--console) mapfile -t COMPREPLY < <(compgen -W 'serial virtio file: off' -- "$cur") ;;
	--on-reboot) mapfile -t COMPREPLY < <(compgen -W 'restart exit' -- "$cur") ;;
	--sandbox|--irqfd|--ioeventfd) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$cur") ;;
	--append|--memory|--cpus|--name|--balloon) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_corbel() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run check help --version' -- "$cur")
		return
	fi
	_corbel_value "$prev" "$cur" && return
	case ${COMP_WORDS[1]} in
	run)
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" run --help 2>/dev/null |
			sed -n 's/^  \(--[a-z-]*\) .*/\1/p')" -- "$cur") ;;
	check) mapfile -t COMPREPLY < <(compgen -W '--device' -- "$cur") ;;
	help) mapfile -t COMPREPLY < <(compgen -W 'run' -- "$cur") ;;
	esac
}

complete -o filenames -F _corbel corbel
