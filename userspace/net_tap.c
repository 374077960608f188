// SPDX-License-Identifier: GPL-2.0-only
/* A TAP interface of the host as the other end of a virtio network device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "error.h"
#include "net_tap.h"

/* Returns: a non-blocking descriptor whose packets carry a virtio header. */
int net_tap_open(const char *ifname)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		error_die(EXIT_ERROR, "cannot open /dev/net/tun for --net tap=%s: %s; sudo modprobe "
			  "tun, or use --net user", ifname, strerror(errno));
	if (strlen(ifname) >= IFNAMSIZ)
		error_die(EXIT_USAGE, "--net tap=%s: the name is too long", ifname);
	strcpy(ifr.ifr_name, ifname);
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return fd;
	if (errno == EPERM)
		error_die(EXIT_ERROR, "no permission to use tap %s; let root create it: ip tuntap "
			  "add %s mode tap user $USER", ifname, ifname);
	if (errno == EBUSY)
		error_die(EXIT_ERROR, "tap %s is in use by another program", ifname);
	error_die(EXIT_ERROR, "cannot use tap %s: %s", ifname, strerror(errno));
}
