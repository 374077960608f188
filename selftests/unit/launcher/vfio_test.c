// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an assigned function's registers that reach the hardware though they are the launcher's,
 * or the other way round; capability lists that run in circles; pages of the MSI-X table that a
 * guest could map; BARs where none can be; interrupts lost while their vector is masked.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "loop.h"
#include "msix.h"
#include "pci_host.h"
#include "vfio_area.h"
#include "vfio_cfg.h"
#include "world.h"

#define PM	0x40
#define MSI	0x50
#define SECRET	0x68	/* a capability that guests do not get */
#define MSIX	0x70
#define EXP	0x80

static struct world w;
static struct pci_dev pd;
static struct vfio_cfg cfg;
static uint8_t raw[PCI_CFG_SIZE];

static void cap(unsigned int at, uint8_t id, uint8_t next)
{
	raw[at] = id;
	raw[at + 1] = next;
}

/* An endpoint with all that there is to hide. */
static void function(void)
{
	world_init(&w);
	for (unsigned int i = 0; i < sizeof(raw); i++)
		raw[i] = 0xe0 | (i & 0xf);
	raw[PCI_HEADER_TYPE] = 0x80;
	raw[PCI_INTERRUPT_PIN] = 3;
	raw[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	raw[PCI_CAPABILITY_LIST] = PM;
	cap(PM, PCI_CAP_ID_PM, MSI);
	cap(MSI, PCI_CAP_ID_MSI, SECRET);
	cap(SECRET, PCI_CAP_ID_EA, MSIX);
	cap(MSIX, PCI_CAP_ID_MSIX, EXP);
	cap(EXP, PCI_CAP_ID_EXP, 0);
	raw[MSI + PCI_MSI_FLAGS] = PCI_MSI_FLAGS_64BIT | 0x20 | 0x11;
	raw[MSI + PCI_MSI_FLAGS + 1] = PCI_MSI_FLAGS_MASKBIT >> 8;
	raw[MSIX + PCI_MSIX_FLAGS] = 7;
	raw[MSIX + PCI_MSIX_FLAGS + 1] = 0xc0;
	raw[EXP + PCI_EXP_FLAGS] = 2;
	raw[EXP + PCI_EXP_FLAGS + 1] = 0;
	pci_dev_init(&pd, &w.m, 0, 0, 0);
	vfio_cfg_init(&cfg, &pd, raw);
}

static void header(void)
{
	function();
	CHECK_EQ(pd.cfg[PCI_VENDOR_ID], 0xe0);
	CHECK_EQ(pci_get16(&pd, PCI_COMMAND), 0);
	CHECK_EQ(pd.cfg[PCI_HEADER_TYPE], 0);
	CHECK_EQ(pd.cfg[PCI_INTERRUPT_PIN], 1);
	for (unsigned int i = PCI_BASE_ADDRESS_0; i < PCI_CARDBUS_CIS; i++)
		CHECK(cfg.ours[i] && !pd.cfg[i] && !pd.wmask[i]);
	for (unsigned int i = PCI_ROM_ADDRESS; i < PCI_ROM_ADDRESS + 4; i++)
		CHECK(cfg.ours[i] && !pd.cfg[i] && !pd.wmask[i]);
	CHECK(!cfg.ours[PCI_COMMAND] && !cfg.ours[PCI_STATUS + 1] && !cfg.ours[PM + PCI_PM_CTRL]);
	CHECK(cfg.ours[PCI_INTERRUPT_LINE] && pd.wmask[PCI_INTERRUPT_LINE] == 0xff);
	world_free(&w);
}

static void capabilities(void)
{
	static const uint8_t wanted[] = { PM, MSI, MSIX, EXP, 0 };
	unsigned int at = PCI_CAPABILITY_LIST;

	function();
	for (unsigned int i = 0; i < sizeof(wanted); i++) {
		CHECK(cfg.ours[at]);
		CHECK_EQ(pd.cfg[at], wanted[i]);
		at = wanted[i] + 1;
	}
	/* Neither vectors that are not there nor mask bits; nothing is enabled. */
	CHECK_EQ(pci_get16(&pd, MSI + PCI_MSI_FLAGS), PCI_MSI_FLAGS_64BIT);
	CHECK_EQ(cfg.msi, MSI);
	CHECK_EQ(pd.wmask[MSI + PCI_MSI_ADDRESS_LO], 0xfc);
	CHECK(cfg.ours[MSI + PCI_MSI_DATA_64 + 1] && !cfg.ours[MSI + PCI_MSI_DATA_64 + 2]);
	CHECK_EQ(cfg.msix, MSIX);
	CHECK_EQ(pci_get16(&pd, MSIX + PCI_MSIX_FLAGS), 7);
	CHECK_EQ(pd.wmask[MSIX + PCI_MSIX_TABLE], 0);
	CHECK_EQ(pd.cfg[EXP + PCI_EXP_FLAGS], 2 | PCI_EXP_TYPE_RC_END << 4);
	CHECK_EQ(pci_get32(&pd, EXP + PCI_EXP_LNKCAP), 0);
	CHECK(!cfg.ours[EXP + PCI_EXP_DEVCTL]);
	world_free(&w);
}

/* Whatever a function shows: it ends, and stays inside. */
static void hostile_lists(void)
{
	static const uint8_t ids[] = { PCI_CAP_ID_MSI, PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP,
				       PCI_CAP_ID_PM };

	world_init(&w);
	for (unsigned long n = world_env("ROUNDS", 40000); n; n--) {
		for (unsigned int i = 0; i < sizeof(raw); i++)
			raw[i] = world_random();
		raw[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
		for (unsigned int i = 0; i < sizeof(raw) - 3; i += 4)
			if (world_random() & 1)
				raw[i] = ids[world_random() % 4];
		pci_dev_init(&pd, &w.m, 0, 0, 0);
		vfio_cfg_init(&cfg, &pd, raw);
		for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
			CHECK(cfg.ours[i] || pd.wmask[i] == 0xff);
	}
	world_free(&w);
}

/* What is written through is exactly what is not ours. */
static void runs(void)
{
	unsigned int off = 0, len, bytes = 0, ours = 0;

	function();
	for (; vfio_cfg_run(&cfg, &off, &len, PCI_CFG_SIZE); off += len) {
		bytes += len;
		CHECK(!off || cfg.ours[off - 1]);
		for (unsigned int i = 0; i < len; i++)
			CHECK(!cfg.ours[off + i]);
	}
	for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
		ours += cfg.ours[i];
	CHECK_EQ(bytes + ours, PCI_CFG_SIZE);
	off = PCI_BASE_ADDRESS_0;
	CHECK(!vfio_cfg_run(&cfg, &off, &len, PCI_BASE_ADDRESS_0 + 4));
	off = PCI_COMMAND;
	CHECK(vfio_cfg_run(&cfg, &off, &len, PCI_COMMAND + 2) && off == PCI_COMMAND && len == 2);
	world_free(&w);
}

static bool is_area(const struct vfio_area *a, uint64_t start, uint64_t size)
{
	return a->start == start && a->size == size;
}

static void areas(void)
{
	struct vfio_area a[VFIO_MAX_AREAS] = { { 0, 0x8000 } };
	unsigned int n = 1;

	n = vfio_area_cut(a, n, 0x2010, 0x10);		/* a table in a page with registers */
	CHECK_EQ(n, 2);
	CHECK(is_area(&a[0], 0, 0x2000) && is_area(&a[1], 0x3000, 0x5000));
	n = vfio_area_cut(a, n, 0x7ff8, 8);		/* the last page */
	CHECK_EQ(n, 2);
	CHECK(is_area(&a[1], 0x3000, 0x4000));
	n = vfio_area_cut(a, n, 0xffc, 8);		/* over the border of two */
	CHECK_EQ(n, 1);
	n = vfio_area_cut(a, n, 0, 0);			/* nothing */
	CHECK(n == 1 && is_area(&a[0], 0x3000, 0x4000));
	n = vfio_area_cut(a, n, 0, 0x10000);
	CHECK_EQ(n, 0);
	for (unsigned int i = 0; i < VFIO_MAX_AREAS; i++)
		a[i] = (struct vfio_area){ i * 0x10000, 0x8000 };
	n = vfio_area_cut(a, VFIO_MAX_AREAS, 0x2000, 1);	/* no room for one more */
	CHECK_EQ(n, VFIO_MAX_AREAS);
	for (unsigned int i = 0; i < n; i++)
		CHECK(a[i].start + a[i].size <= 0x2000 || a[i].start >= 0x3000);
}

static unsigned int answered;

static void answer(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	(void)off;
	(void)write;
	memset(data, 0, len);
	answered += dev == &pd;
}

static bool answers(struct bus *bus, uint64_t at)
{
	uint32_t value;
	unsigned int before = answered;

	bus_access(bus, at, &value, 4, false);
	return answered > before;
}

static void write_bar(unsigned int reg, unsigned int len, uint64_t value)
{
	world_cfg_write(&w, pd.slot, PCI_COMMAND, 2, 0);
	world_cfg_write(&w, pd.slot, reg, 4, value);
	if (len == 8)
		world_cfg_write(&w, pd.slot, reg + 4, 4, value >> 32);
	world_cfg_write(&w, pd.slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void bars(void)
{
	const uint32_t wide = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH;
	uint64_t at;

	world_init(&w);
	pci_dev_init(&pd, &w.m, 0x1234, 1, 0);
	pci_add_bar(&pd, 0, 0x20, PCI_BASE_ADDRESS_SPACE_IO, answer, &pd);
	pci_add_bar(&pd, 1, 0x4000, wide, answer, &pd);
	pci_add_bar(&pd, 3, 1ULL << 32, wide, answer, &pd);
	pci_add_bar(&pd, PCI_ROM, 0x10000, 0, answer, &pd);
	pci_register(&pd);
	world_cfg_write(&w, pd.slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	CHECK(answers(&w.m.pio, pci_get32(&pd, PCI_BASE_ADDRESS_0) & ~3u));
	CHECK(answers(&w.m.mmio, (pci_get32(&pd, PCI_BASE_ADDRESS_1) & ~15u) + 0x3ffc));
	at = (uint64_t)pci_get32(&pd, PCI_BASE_ADDRESS_4) << 32;
	CHECK(at >= PCI_WINDOW64 && answers(&w.m.mmio, at + 0xfffffffc));
	CHECK(!answers(&w.m.mmio, pci_get32(&pd, PCI_ROM_ADDRESS) & ~1u));
	world_cfg_write(&w, pd.slot, PCI_ROM_ADDRESS, 4, 0xffffffff);
	CHECK_EQ(world_cfg_read(&w, pd.slot, PCI_ROM_ADDRESS, 4), 0xffff0001);
	write_bar(PCI_ROM_ADDRESS, 4, 0xd0000001);
	CHECK(answers(&w.m.mmio, 0xd0000000));

	world_cfg_write(&w, pd.slot, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
	CHECK_EQ(world_cfg_read(&w, pd.slot, PCI_BASE_ADDRESS_1, 4), 0xffffc000 | wide);
	write_bar(PCI_BASE_ADDRESS_1, 8, PCI_WINDOW64 + (5ULL << 32));
	CHECK(answers(&w.m.mmio, PCI_WINDOW64 + (5ULL << 32)));
	/* Over memory, over the APICs, beyond all, and one that wraps around. */
	write_bar(PCI_BASE_ADDRESS_1, 8, 0x100000);
	CHECK(!answers(&w.m.mmio, 0x100000));
	write_bar(PCI_BASE_ADDRESS_1, 8, 0xfee00000);
	CHECK(!answers(&w.m.mmio, 0xfee00000));
	write_bar(PCI_BASE_ADDRESS_1, 8, 0xffffffffffffc000);
	CHECK(!answers(&w.m.mmio, 0xffffffffffffc000));
	write_bar(PCI_BASE_ADDRESS_0, 4, 0xcf8);
	CHECK(!answers(&w.m.pio, 0xce0));
	world_free(&w);
}

static unsigned int switched_on, switched_off, wired[4];

static void switched(struct msix *x, bool on)
{
	(void)x;
	switched_on += on;
	switched_off += !on;
}

static void now_wired(struct msix *x, unsigned int i)
{
	wired[i] += x->v[i].wired;
}

static const struct msix_source source = { .switched = switched, .wired = now_wired };
static struct msix x;

static void flags(uint16_t value)
{
	pci_set16(&pd, x.cap + PCI_MSIX_FLAGS, value | 3);
	msix_cfg_written(&x);
}

static void entry(unsigned int i, unsigned int field, uint32_t value)
{
	msix_table_access(&x, i * PCI_MSIX_ENTRY_SIZE + field, &value, 4, true);
}

static unsigned int pending(void)
{
	uint64_t bits;

	msix_pba_read(&x, 0, &bits, 8);
	return bits;
}

static void hardware_vectors(void)
{
	world_init(&w);
	w.m.vm.has_irqfd = true;
	pci_dev_init(&pd, &w.m, 0x1234, 1, 0);
	msix_init_at(&x, &pd, 4, pci_add_cap(&pd, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF));
	x.source = &source;
	flags(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	CHECK(switched_on == 1 && !wired[2]);
	entry(2, PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee01000);
	entry(2, PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	CHECK(!x.v[2].wired);
	flags(PCI_MSIX_FLAGS_ENABLE);
	CHECK(x.v[2].wired && wired[2] == 1 && world_irqfds[x.v[2].gsi] == x.v[2].eventfd);
	CHECK_EQ(world_routes[x.v[2].gsi], 0xfee01000);
	/* What comes while it is masked is pending, and waits. */
	entry(2, PCI_MSIX_ENTRY_VECTOR_CTRL, 1);
	CHECK(!x.v[2].wired && !world_irqfds[x.v[2].gsi] && !pending());
	loop_kick(x.v[2].eventfd);
	CHECK_EQ(pending(), 4);
	entry(2, PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee02000);
	CHECK_EQ(world_routes[x.v[2].gsi], 0xfee01000);
	entry(2, PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	CHECK(x.v[2].wired && !pending());
	CHECK_EQ(world_routes[x.v[2].gsi], 0xfee02000);
	flags(0);
	CHECK(!x.v[2].wired && switched_off == 1);
	/* No such vector. */
	entry(4, PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	msix_free(&x);
	world_free(&w);
}

static void addresses(void)
{
	static const char *const wrong[] = { "",
					     "1",
					     "01:00",
					     "01:00.8",
					     "01:20.0",
					     "0000:01:00.0x",
					     "::.",
					     "01:00.0 ",
					     "../../x",
					     "0000:01:00.0/..",
					     "-1:00.0",
					     "1:2:3:4.0",
					     "123456789:01:00.0" };
	char name[PCI_HOST_NAME];

	CHECK(pci_host_parse("0000:01:00.0", name) && !strcmp(name, "0000:01:00.0"));
	CHECK(pci_host_parse("AB:1f.7", name) && !strcmp(name, "0000:ab:1f.7"));
	CHECK(pci_host_parse("10000:e1:00.0", name) && !strcmp(name, "10000:e1:00.0"));
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(!pci_host_parse(wrong[i], name));
}

/* A host of files: one group of two functions, a bridge, and one without an IOMMU. */
static void host(void)
{
	static const char tree[] =
		"set -e; mkdir -p $T/bus/pci/devices $T/bus/pci/drivers/nvme $T/kernel/irq/7 "
		"$T/kernel/iommu_groups/5/devices; cd $T/bus/pci/devices;"
		"for f in 0000:01:00.0 0000:01:00.1 0000:00:01.0 0000:00:02.0; do mkdir $f; done;"
		"for f in 0000:01:00.1 0000:01:00.0; do ln -s ../../../../kernel/iommu_groups/5 "
		"$f/iommu_group;"
		"mkdir $T/kernel/iommu_groups/5/devices/$f; echo 0x010802 > $f/class; done;"
		"ln -s ../../drivers/nvme 0000:01:00.1/driver; echo 0x060400 > 0000:00:01.0/class;"
		"echo IO-APIC > $T/kernel/irq/7/chip_name";
	char dir[] = "/tmp/corbel-host-XXXXXX", text[64];
	struct pci_host_list list;

	CHECK(mkdtemp(dir));
	setenv("T", dir, 1);
	CHECK_EQ(system(tree), 0);
	pci_host_sysfs = dir;
	pci_host_functions(&list);
	CHECK(list.n == 4 && !strcmp(list.names[0], "0000:00:01.0"));
	CHECK(pci_host_exists("0000:01:00.1") && !pci_host_exists("0000:01:00.2"));
	CHECK_EQ(pci_host_group("0000:01:00.0"), 5);
	CHECK_EQ(pci_host_group("0000:00:02.0"), -1);
	pci_host_group_functions(5, &list);
	CHECK_EQ(list.n, 2);
	CHECK(!pci_host_driver("0000:01:00.0", text, sizeof(text)) && !*text);
	CHECK(pci_host_driver("0000:01:00.1", text, sizeof(text)) && !strcmp(text, "nvme"));
	CHECK(!pci_host_harmless("0000:01:00.1", "nvme") &&
	      pci_host_harmless("0000:01:00.1", "vfio-pci"));
	CHECK(pci_host_harmless("0000:00:01.0", "pcieport") &&
	      !pci_host_harmless("0000:01:00.0", "pcieport"));
	CHECK(!pci_host_remapped() && !pci_host_unsafe_allowed());
	CHECK_EQ(system("echo IR-PCI-MSI-0000:01:00.0 > $T/kernel/irq/7/chip_name; "
			"mkdir -p $T/module/vfio_iommu_type1/parameters; "
			"echo Y > $T/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"),
		 0);
	CHECK(pci_host_remapped() && pci_host_unsafe_allowed());
	CHECK_EQ(system("rm -r \"$T\""), 0);
}

static const struct check_case cases[] = {
	{ "header", header },
	{ "capabilities", capabilities },
	{ "hostile_lists", hostile_lists },
	{ "runs", runs },
	{ "areas", areas },
	{ "bars", bars },
	{ "hardware_vectors", hardware_vectors },
	{ "addresses", addresses },
	{ "host", host },
};

CHECK_MAIN(cases)
