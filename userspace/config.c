// SPDX-License-Identifier: GPL-2.0-only
/* The command line of `corbel run`: what it says, and whether it can be done. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/corbel.h>
#include <linux/fs.h>
#include <unistd.h>

#include "config.h"
#include "error.h"
#include "net_tap.h"
#include "vhost_user.h"

#define MIB		(1ULL << 20)
#define MIN_MEMORY	(16 * MIB)
#define MAX_CPUS	255

/* One option: its name, what follows it, its line in --help, and who understands it. */
struct option_row {
	const char *name;
	const char *arg;
	const char *help;
	void (*parse)(struct config *c, const char *arg);
};

static _Noreturn void bad(const char *option, const char *arg, const char *want)
{
	error_die(EXIT_USAGE, "--%s %s: %s; see corbel run --help", option, arg, want);
}

static uint64_t parse_size(const char *option, const char *arg)
{
	static const char suffixes[] = "kmgt";
	unsigned int shift = 20;
	unsigned long long n;
	const char *s;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 10);
	if (*end && (s = strchr(suffixes, *end | 0x20))) {
		shift = 10 * (s - suffixes + 1);
		end++;
	}
	if (end == arg || *end || *arg < '0' || *arg > '9' || errno || n > ULLONG_MAX >> shift)
		bad(option, arg, "must be a size like 512 (MiB), 512M or 2G");
	return n << shift;
}

static bool parse_bool(const char *option, const char *arg)
{
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		bad(option, arg, "must be on or off");
	return !strcmp(arg, "on");
}

static void parse_kernel(struct config *c, const char *arg)
{
	c->kernel.path = arg;
}

static void parse_initrd(struct config *c, const char *arg)
{
	c->initrd.path = arg;
}

static void parse_append(struct config *c, const char *arg)
{
	c->append = arg;
}

static void parse_memory(struct config *c, const char *arg)
{
	c->memory = parse_size("memory", arg);
	if (c->memory < MIN_MEMORY || c->memory % 4096)
		bad("memory", arg, "must be 16 MiB or more, in whole pages");
}

static void parse_backend(struct config *c, const char *arg)
{
	if (!strcmp(arg, "anon"))
		c->backend = RAM_ANON;
	else if (!strcmp(arg, "memfd"))
		c->backend = RAM_MEMFD;
	else if (!strcmp(arg, "hugetlb"))
		c->backend = RAM_HUGETLB;
	else
		bad("memory-backend", arg, "must be anon, memfd or hugetlb");
}

static void parse_merge(struct config *c, const char *arg)
{
	(void)arg;
	c->merge = true;
}

static void parse_mmu(struct config *c, const char *arg)
{
	static const char *const modes[] = {
		[CORBEL_MMU_AUTO] = "auto",
		[CORBEL_MMU_TDP] = "tdp",
		[CORBEL_MMU_SHADOW_WP] = "shadow-wp",
		[CORBEL_MMU_SHADOW_LAZY] = "shadow-lazy",
	};

	for (c->mmu = 0; c->mmu < sizeof(modes) / sizeof(modes[0]); c->mmu++)
		if (!strcmp(arg, modes[c->mmu]))
			return;
	bad("mmu", arg, "must be auto, tdp, shadow-wp or shadow-lazy");
}

static void parse_cpus(struct config *c, const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (end == arg || *end || n < 1 || n > MAX_CPUS)
		bad("cpus", arg, "must be a number from 1 to 255");
	c->cpus = n;
}

static char *copy(const char *s)
{
	char *p = strdup(s);

	if (!p)
		error_die(EXIT_ERROR, "out of memory");
	return p;
}

/* Returns: the socket that @arg names, NULL where it names something else. */
static const char *vhost_user_path(const char *arg)
{
	static const char kind[] = "vhost-user=";

	return strncmp(arg, kind, sizeof(kind) - 1) ? NULL : arg + sizeof(kind) - 1;
}

static void parse_disk(struct config *c, const char *arg)
{
	struct config_file *f = &c->disks[c->nr_disks];
	const char *external = vhost_user_path(arg);
	char *path = copy(external ? external : arg), *comma = strrchr(path, ',');

	if (c->nr_disks++ == CONFIG_MAX_DISKS)
		bad("disk", arg, "there are too many disks (16 at most)");
	f->external = external;
	c->shared |= f->external;
	if (comma && !strcmp(comma, ",ro")) {
		f->ro = true;
		*comma = 0;
	}
	if (!*path || (external && f->ro))
		bad("disk", arg, "must be FILE, FILE,ro or vhost-user=SOCKET");
	f->path = path;
}

static void parse_serve(struct config *c, const char *arg)
{
	const char *path = vhost_user_path(arg);

	if (c->nr_serves == CONFIG_MAX_SERVES)
		bad("serve", arg, "there are too many sockets (4 at most)");
	if (!path || !*path)
		bad("serve", arg, "must be vhost-user=SOCKET");
	c->serves[c->nr_serves++].path = path;
}

/* Every guest's first interface has the same address; on a user network it is alone anyway. */
static void default_mac(struct config_net *n, unsigned int index)
{
	memcpy(n->mac, (uint8_t[]){ 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 + index }, 6);
}

static bool parse_mac(uint8_t *mac, const char *s)
{
	char tail;

	return sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		      &mac[3], &mac[4], &mac[5], &tail) == 6 && !(mac[0] & 1);
}

static void parse_net_option(struct config_net *n, const char *whole, char *opt)
{
	if (!strncmp(opt, "mac=", 4) && parse_mac(n->mac, opt + 4))
		return;
	if (!strcmp(opt, "restrict") && n->kind == NET_USER)
		n->restricted = true;
	else
		bad("net", whole, "must be user[,restrict], tap=IF or none, then [,mac=ADDRESS]");
}

static void parse_net(struct config *c, const char *arg)
{
	struct config_net *n = &c->nets[c->nr_nets];
	char *s = copy(arg), *kind = strsep(&s, ","), *opt;

	if (!strcmp(kind, "none") && !s) {
		free(kind);
		c->nr_nets = 0;
		return;
	}
	if (c->nr_nets == CONFIG_MAX_NETS)
		bad("net", arg, "there are too many network interfaces (8 at most)");
	default_mac(n, c->nr_nets++);
	n->fd = -1;
	if (!strncmp(kind, "tap=", 4) && kind[4]) {
		n->kind = NET_TAP;
		n->ifname = kind + 4;
	} else if (strcmp(kind, "user")) {
		bad("net", arg, "must be user, tap=IF or none");
	}
	while ((opt = strsep(&s, ",")))
		parse_net_option(n, arg, opt);
	if (n->kind == NET_USER)
		free(kind);
}

static bool parse_port(const char *s, uint16_t *port)
{
	char *end;
	long n = s ? strtol(s, &end, 10) : 0;

	*port = n;
	return s && end != s && !*end && n > 0 && n < 65536;
}

static bool parse_addr(const char *s, uint32_t *addr)
{
	return s && (!*s || inet_pton(AF_INET, s, addr) == 1);
}

/* As QEMU writes it: tcp:[HOST]:PORT-[GUEST]:PORT */
static void parse_hostfwd(struct config *c, const char *arg)
{
	struct config_hostfwd *f = &c->hostfwd[c->nr_hostfwd];
	char *s = copy(arg), *guest = s, *host, *proto;

	if (c->nr_hostfwd++ == CONFIG_MAX_HOSTFWD)
		bad("hostfwd", arg, "there are too many forwarded ports (16 at most)");
	proto = strsep(&guest, ":");
	host = strsep(&guest, "-");
	f->udp = !strcmp(proto, "udp");
	if ((!f->udp && strcmp(proto, "tcp")) || !host || !guest ||
	    !parse_addr(strsep(&host, ":"), &f->host_addr) || !parse_port(host, &f->host_port) ||
	    !parse_addr(strsep(&guest, ":"), &f->guest_addr) || !parse_port(guest, &f->guest_port))
		bad("hostfwd", arg, "must be tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT");
	free(s);
}

static void parse_pci(struct config *c, const char *arg)
{
	struct vfio *v = &c->vfio;

	if (v->n == VFIO_MAX_FUNCTIONS)
		bad("pci", arg, "there are too many PCI functions (16 at most)");
	if (!pci_host_parse(arg, v->functions[v->n].name))
		bad("pci", arg,
		    "must be an address like 0000:01:00.0, as corbel pci list shows them");
	for (unsigned int i = 0; i < v->n; i++)
		if (!strcmp(v->functions[i].name, v->functions[v->n].name))
			bad("pci", arg, "is there twice");
	v->n++;
}

static void parse_console(struct config *c, const char *arg)
{
	if (!strcmp(arg, "serial"))
		c->console = CONSOLE_SERIAL;
	else if (!strcmp(arg, "virtio"))
		c->console = CONSOLE_VIRTIO;
	else if (!strcmp(arg, "off"))
		c->console = CONSOLE_OFF;
	else if (!strncmp(arg, "file:", 5) && arg[5])
		c->console = CONSOLE_FILE;
	else
		bad("console", arg, "must be serial, virtio, file:PATH or off");
	c->console_file.path = c->console == CONSOLE_FILE ? arg + 5 : NULL;
}

static void parse_name(struct config *c, const char *arg)
{
	for (const char *p = arg; *p; p++)
		if (*p <= ' ' || *p > '~')
			bad("name", arg, "must be printable and without blanks");
	if (!*arg || strlen(arg) > 63)
		bad("name", arg, "must have 1 to 63 characters");
	c->name = arg;
}

static void parse_rng(struct config *c, const char *arg)
{
	(void)arg;
	c->rng = true;
}

static void parse_balloon(struct config *c, const char *arg)
{
	c->balloon = true;
	c->balloon_size = parse_size("balloon", arg);
}

static void parse_reboot(struct config *c, const char *arg)
{
	if (strcmp(arg, "restart") && strcmp(arg, "exit"))
		bad("on-reboot", arg, "must be restart or exit");
	c->restart = !strcmp(arg, "restart");
}

static void parse_stats(struct config *c, const char *arg)
{
	(void)arg;
	c->stats = true;
}

static void parse_sandbox(struct config *c, const char *arg)
{
	c->sandbox = parse_bool("sandbox", arg);
}

static void parse_irqfd(struct config *c, const char *arg)
{
	c->irqfd = parse_bool("irqfd", arg);
}

static void parse_ioeventfd(struct config *c, const char *arg)
{
	c->ioeventfd = parse_bool("ioeventfd", arg);
}

static void parse_device(struct config *c, const char *arg)
{
	c->device = arg;
}

static const struct option_row options[] = {
	{ "kernel", "FILE", "bzImage, or ELF with a PVH entry point (required)", parse_kernel },
	{ "initrd", "FILE", "initial RAM disk", parse_initrd },
	{ "append", "TEXT", "kernel command line (default: console=ttyS0 or hvc0)", parse_append },
	{ "memory", "SIZE", "guest memory, in MiB or with K, M, G (default: 256M)", parse_memory },
	{ "memory-backend", "KIND", "anon, memfd or hugetlb (default: anon)", parse_backend },
	{ "merge", NULL, "let the host's KSM merge equal pages", parse_merge },
	{ "mmu", "HOW", "auto, tdp, shadow-wp or shadow-lazy (default: auto, the module's choice)",
	  parse_mmu },
	{ "cpus", "N", "virtual CPUs (default: 1)", parse_cpus },
	{ "disk", "FILE[,ro]", "raw image or block device, or vhost-user=SOCKET; may be repeated",
	  parse_disk },
	{ "serve", "vhost-user=SOCKET",
	  "be a driver domain: serve a disk to another guest; may be repeated", parse_serve },
	{ "net", "KIND", "user[,restrict], tap=IF or none, then [,mac=ADDRESS]; may be repeated",
	  parse_net },
	{ "hostfwd", "RULE", "tcp|udp:[ADDR]:PORT-[ADDR]:PORT into a user network", parse_hostfwd },
	{ "pci", "ADDRESS", "PCI function of the host, bound to vfio-pci; may be repeated",
	  parse_pci },
	{ "console", "KIND", "serial, virtio, file:PATH or off (default: serial)", parse_console },
	{ "rng", NULL, "add a virtio random number generator", parse_rng },
	{ "balloon", "SIZE", "add a virtio balloon that takes SIZE away (0: only reports)",
	  parse_balloon },
	{ "name", "NAME", "name of the guest, in messages and thread lists", parse_name },
	{ "on-reboot", "WHAT", "restart or exit when the guest resets (default: restart)",
	  parse_reboot },
	{ "stats", NULL, "print the hypervisor's counters at the end", parse_stats },
	{ "sandbox", "on|off", "restrict system calls by seccomp (default: on)", parse_sandbox },
	{ "irqfd", "on|off", "send interrupts by eventfd (default: on)", parse_irqfd },
	{ "ioeventfd", "on|off", "take queue notifications by eventfd (default: on)",
	  parse_ioeventfd },
	{ "device", "PATH", "the hypervisor (default: $CORBEL_DEV, /dev/corbel, /dev/kvm)",
	  parse_device },
};

#define NR_OPTIONS	(sizeof(options) / sizeof(options[0]))

void config_usage(void)
{
	printf("Usage: corbel run --kernel FILE [OPTION]...\n"
	       "Boot a guest; its console is this terminal. Ctrl-A ? lists the escape keys.\n\n");
	for (unsigned int i = 0; i < NR_OPTIONS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "--%s %s", options[i].name,
			 options[i].arg ? options[i].arg : "");
		printf("  %-24s %s\n", left, options[i].help);
	}
	printf("  %-24s %s\n\n", "--help", "this text");
	printf("Exit codes: 0 the guest powered off; 1 it could not be started, or the host\n"
	       "failed; 2 wrong command line; 3 reset with --on-reboot exit; 4 triple fault;\n"
	       "5 the hypervisor could not go on; 6 quit by Ctrl-A x; 128+N ended by signal N.\n");
}

static void set_defaults(struct config *c)
{
	memset(c, 0, sizeof(*c));
	c->memory = 256 * MIB;
	c->cpus = 1;
	c->restart = true;
	c->irqfd = c->ioeventfd = true;
#if defined(__SANITIZE_ADDRESS__)
	c->sandbox = false;	/* the sanitizers' own reports need more system calls */
#else
	c->sandbox = true;
#endif
}

static void finish(struct config *c)
{
	if (!c->kernel.path)
		error_die(EXIT_USAGE, "--kernel is missing; see corbel run --help");
	if (c->merge && c->shared)
		error_die(EXIT_USAGE, "--merge merges nothing with --disk vhost-user, whose "
			  "back-end shares all memory");
	if (c->merge && c->backend != RAM_ANON)
		error_die(EXIT_USAGE, "--merge needs --memory-backend anon; KSM merges nothing "
			  "else");
	if (c->merge && c->vfio.n)
		error_die(EXIT_USAGE,
			  "--merge merges nothing with --pci, whose DMA locks all memory");
	if (c->balloon && c->vfio.n)
		error_die(EXIT_USAGE,
			  "--balloon gives nothing back with --pci, whose DMA locks all memory");
	if (c->balloon_size >= c->memory)
		error_die(EXIT_USAGE, "--balloon must be smaller than --memory");
	if (c->nr_hostfwd && (!c->nr_nets || c->nets[0].kind != NET_USER))
		error_die(EXIT_USAGE, "--hostfwd needs --net user as the first network");
	if (c->shared && c->backend == RAM_ANON)
		c->backend = RAM_MEMFD;
	if (!c->append)
		c->append = c->console == CONSOLE_VIRTIO ? "console=hvc0" : "console=ttyS0";
}

/* Only long options, and never abbreviated: a script must not break when an option is added. */
void config_parse(struct config *c, int argc, char **argv)
{
	set_defaults(c);
	for (int i = 1; i < argc; i++) {
		const struct option_row *row = options;
		const char *name = argv[i] + 2, *value = strchr(argv[i], '=');
		size_t len = value ? (size_t)(value - name) : strlen(argv[i]) - 2;

		if (strncmp(argv[i], "--", 2) || !*name)
			error_die(EXIT_USAGE, "unexpected argument %s; see corbel run --help",
				  argv[i]);
		if (!strcmp(argv[i], "--help")) {
			config_usage();
			exit(0);
		}
		while (row < options + NR_OPTIONS &&
		       (strncmp(row->name, name, len) || row->name[len]))
			row++;
		if (row == options + NR_OPTIONS)
			error_die(EXIT_USAGE, "unknown option %s; see corbel run --help", argv[i]);
		if (!row->arg && value)
			error_die(EXIT_USAGE, "--%s takes no value", row->name);
		if (row->arg && !value && i + 1 == argc)
			error_die(EXIT_USAGE, "--%s needs a value: %s", row->name, row->arg);
		row->parse(c, !row->arg ? NULL : value ? value + 1 : argv[++i]);
	}
	finish(c);
}

static _Noreturn void cannot(const char *what, const struct config_file *f, const char *why)
{
	error_die(EXIT_ERROR, "cannot open %s %s: %s", what, f->path, why);
}

static void open_file(struct config_file *f, const char *what)
{
	struct stat st;

	f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st))
		cannot(what, f, strerror(errno));
	if (!S_ISREG(st.st_mode))
		cannot(what, f, "it is not a regular file");
	if (!st.st_size)
		cannot(what, f, "it is empty");
	f->size = st.st_size;
}

/* Two launchers that write one image destroy it: hold a lock as long as it is open. */
static void lock_disk(const struct config_file *f)
{
	struct flock fl = { .l_type = f->ro ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(f->fd, F_OFD_SETLK, &fl) && (errno == EAGAIN || errno == EACCES))
		cannot("disk", f, "another program uses it; stop that, or give ,ro to both");
}

static void open_disk(struct config_file *f)
{
	struct stat st;

	if (f->external) {
		f->vhost = vhost_user_open(f->path);
		return;
	}
	f->fd = open(f->path, (f->ro ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (f->fd < 0 && (errno == EACCES || errno == EROFS) && !f->ro)
		cannot("disk", f, "no permission to write; append ,ro to only read it");
	if (f->fd < 0 || fstat(f->fd, &st))
		cannot("disk", f, strerror(errno));
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(f->fd, BLKGETSIZE64, &f->size))
			cannot("disk", f, strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		f->size = st.st_size;
	} else {
		cannot("disk", f, "it is neither a file nor a block device");
	}
	if (f->size < 512)
		cannot("disk", f, "it is smaller than one sector (512 bytes)");
	if (f->size % 512)
		error_warn("disk %s: the last %llu bytes are not a whole sector and stay unseen",
			   f->path, (unsigned long long)f->size % 512);
	lock_disk(f);
}

/* Open all that the guest needs; after it, no path is looked at any more. */
void config_open(struct config *c)
{
	open_file(&c->kernel, "kernel");
	if (c->initrd.path)
		open_file(&c->initrd, "initrd");
	for (unsigned int i = 0; i < c->nr_disks; i++)
		open_disk(&c->disks[i]);
	for (unsigned int i = 0; i < c->nr_nets; i++)
		if (c->nets[i].kind == NET_TAP)
			c->nets[i].fd = net_tap_open(c->nets[i].ifname);
	for (unsigned int i = 0; i < c->nr_serves; i++)
		c->serves[i].fd = vhost_user_listen(c->serves[i].path);
	vfio_open(&c->vfio);
	if (c->console_file.path) {
		c->console_file.fd = open(c->console_file.path,
					  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (c->console_file.fd < 0)
			cannot("console file", &c->console_file, strerror(errno));
	}
}
