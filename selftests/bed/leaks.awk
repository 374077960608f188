# SPDX-License-Identifier: GPL-2.0-only
#
# Of kmemleak's list, the objects that the module named by MODULE has allocated, or code that is
# gone as only the module's can be: its own, or what was there for its start only.

function end_object()
{
	if (ours)
		printf "%s", text
	text = ""
	ours = 0
}

/^unreferenced object/ { end_object() }
index($0, "[" MODULE "]") || /\] 0xffffffff[ac]/ { ours = 1 }
{ text = text "bed: leaked: " $0 "\n" }
END { end_object() }
