# SPDX-License-Identifier: GPL-2.0-only
# bash completion for corbel(1). The options come from the program itself.

_corbel_value() {
	local cur=$2

	case $1 in
	--disk) mapfile -t COMPREPLY < <(compgen -W 'vhost-user=' -- "$cur"; compgen -f -- "$cur") ;;
	--serve) mapfile -t COMPREPLY < <(compgen -W 'vhost-user=' -- "$cur") ;;
	--kernel|--initrd|--device) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
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

# Addresses have colons, at which bash splits words: put the pieces together, complete the last one.
# Fails where what is before the address is none of $@ and no other address.
_corbel_pci() {
	local cur=${COMP_WORDS[COMP_CWORD]} whole='' i=$COMP_CWORD known

	while [[ ${COMP_WORDS[i]} =~ ^[0-9a-f.:]*$ ]]; do
		whole=${COMP_WORDS[i]}$whole
		i=$((i - 1))
		[[ ${COMP_WORDS[i]} == : || ${COMP_WORDS[i + 1]} == : ]] || break
	done
	[[ " $* " == *" ${COMP_WORDS[i]} "* ]] ||
		{ [ "$1" != --pci ] && [[ ${COMP_WORDS[i]} =~ ^[0-9a-f.]+$ ]]; } || return 1
	[ "$cur" != : ] || cur=
	known=$("${COMP_WORDS[0]}" pci list 2>/dev/null | sed -n 's/^\([0-9a-f:.]*\) .*/\1/p')
	mapfile -t COMPREPLY < <(compgen -W "$known" -- "$whole")
	COMPREPLY=("${COMPREPLY[@]#"${whole%"$cur"}"}")
}

_corbel() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run check pci help --version' -- "$cur")
		return
	fi
	_corbel_value "$prev" "$cur" && return
	[ "${COMP_WORDS[1]}" != run ] || ! _corbel_pci --pci || return
	case ${COMP_WORDS[1]} in
	run)
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" run --help 2>/dev/null |
			sed -n 's/^  \(--[a-z-]*\) .*/\1/p')" -- "$cur") ;;
	check) mapfile -t COMPREPLY < <(compgen -W '--device' -- "$cur") ;;
	pci)
		if [ "$COMP_CWORD" = 2 ]; then
			mapfile -t COMPREPLY < <(compgen -W 'list bind unbind vfs' -- "$cur")
		else
			_corbel_pci bind unbind vfs
		fi ;;
	help) mapfile -t COMPREPLY < <(compgen -W 'run pci' -- "$cur") ;;
	esac
}

complete -o filenames -F _corbel corbel
