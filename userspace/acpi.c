// SPDX-License-Identifier: GPL-2.0-only
/* ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, and the DSDT that iasl compiled. */
#include <string.h>

#include "acpi.h"
#include "boot.h"
#include "dsdt.h"
#include "error.h"
#include "machine.h"
#include "pm.h"

#define IOAPIC_ADDR	0xfec00000
#define LAPIC_ADDR	0xfee00000
#define MPS_ACTIVE_HIGH	1
#define MPS_EDGE	(1 << 2)
#define MPS_LEVEL	(3 << 2)

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_gas {
	uint8_t space, width, offset, access;
	uint64_t address;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum, reserved[3];
} __attribute__((packed));

/* Names as in the ACPI specification, "Fixed ACPI Description Table". */
struct acpi_fadt {
	struct acpi_header h;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved, pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
	uint32_t pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_len, gpe1_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor_id;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT, revision 6");

#define FADT_WBINVD		(1u << 0)
#define FADT_SLP_BUTTON		(1u << 5)	/* not a fixed feature */
#define FADT_FIX_RTC		(1u << 6)	/* no wake-up status */
#define FADT_RESET_REG		(1u << 10)
#define BOOT_ARCH_VGA_ABSENT	(1u << 2)	/* and by bit 1 being 0: no 8042 */

struct acpi_madt {
	struct acpi_header h;
	uint32_t lapic, flags;
} __attribute__((packed));

struct acpi_mcfg {
	struct acpi_header h;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} __attribute__((packed));

/* Tables are laid one after the other; @at is where the next one goes. */
struct acpi_writer {
	struct machine *m;
	uint64_t at;
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum -= *p++;
	return sum;
}

static void *place(struct acpi_writer *w, size_t len, uint64_t *gpa)
{
	void *p;

	w->at = (w->at + 63) & ~63ULL;
	p = w->at + len <= BOOT_1M ? ram_ptr(&w->m->ram, w->at, len) : NULL;
	if (!p)
		error_die(EXIT_ERROR, "too many vCPUs for the ACPI tables");
	*gpa = w->at;
	w->at += len;
	return p;
}

static void finish(struct acpi_header *h, const char *signature, uint8_t revision, uint32_t length)
{
	memcpy(h->signature, signature, 4);
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "CORBEL", 6);
	memcpy(h->oem_table_id, "CORBELVM", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "CRBL", 4);
	h->creator_revision = 1;
	h->checksum = checksum(h, length);
}

static struct acpi_gas port(uint64_t address, uint8_t width)
{
	return (struct acpi_gas){ .space = 1, .width = width, .access = width > 8 ? 2 : 1,
				  .address = address };
}

static uint64_t write_dsdt(struct acpi_writer *w)
{
	uint64_t gpa;

	memcpy(place(w, sizeof(dsdt_aml_code), &gpa), dsdt_aml_code, sizeof(dsdt_aml_code));
	return gpa;
}

static uint64_t write_facs(struct acpi_writer *w)
{
	struct { char signature[4]; uint32_t length; uint8_t rest[56]; } *facs;
	uint64_t gpa;

	facs = place(w, 64, &gpa);
	memcpy(facs->signature, "FACS", 4);
	facs->length = 64;
	facs->rest[24] = 2;	/* version */
	return gpa;
}

static uint64_t write_fadt(struct acpi_writer *w)
{
	uint64_t dsdt = write_dsdt(w), facs = write_facs(w), gpa;
	struct acpi_fadt *f = place(w, sizeof(*f), &gpa);

	f->firmware_ctrl = facs;
	f->dsdt = dsdt;
	f->x_dsdt = dsdt;
	f->sci_int = PM_SCI;
	f->pm1a_evt_blk = PM_EVENT_PORT;
	f->pm1_evt_len = 4;
	f->pm1a_cnt_blk = PM_CONTROL_PORT;
	f->pm1_cnt_len = 2;
	f->x_pm1a_evt = port(PM_EVENT_PORT, 32);
	f->x_pm1a_cnt = port(PM_CONTROL_PORT, 16);
	f->p_lvl2_lat = 0xfff;
	f->p_lvl3_lat = 0xfff;
	f->century = 50;
	f->iapc_boot_arch = BOOT_ARCH_VGA_ABSENT;
	f->flags = FADT_WBINVD | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG;
	f->reset_reg = port(PM_RESET_PORT, 8);
	f->reset_value = PM_RESET_VALUE;
	finish(&f->h, "FACP", 6, sizeof(*f));
	return gpa;
}

static void put(uint8_t **p, const void *data, size_t len)
{
	memcpy(*p, data, len);
	*p += len;
}

static void put_override(uint8_t **p, uint8_t irq, uint8_t gsi, uint8_t flags)
{
	put(p, (uint8_t[]){ 2, 10, 0, irq, gsi, 0, 0, 0, flags, 0 }, 10);
}

static uint64_t write_madt(struct acpi_writer *w)
{
	unsigned int cpus = w->m->nr_vcpus;
	uint32_t ioapic[2] = { IOAPIC_ADDR, 0 };
	size_t len = sizeof(struct acpi_madt) + cpus * 8 + 12 + 2 * 10 + 6;
	uint64_t gpa;
	struct acpi_madt *madt = place(w, len, &gpa);
	uint8_t *p = (uint8_t *)(madt + 1);

	madt->lapic = LAPIC_ADDR;
	madt->flags = 1;	/* there are 8259s too */
	for (unsigned int i = 0; i < cpus; i++)
		put(&p, (uint8_t[]){ 0, 8, i, i, 1, 0, 0, 0 }, 8);
	put(&p, (uint8_t[]){ 1, 12, 0, 0 }, 4);
	put(&p, ioapic, 8);
	put_override(&p, 0, 2, MPS_ACTIVE_HIGH | MPS_EDGE);
	put_override(&p, PM_SCI, PM_SCI, MPS_ACTIVE_HIGH | MPS_LEVEL);
	put(&p, (uint8_t[]){ 4, 6, 0xff, 0, 0, 1 }, 6);	/* NMI at LINT1 of all */
	finish(&madt->h, "APIC", 4, len);
	return gpa;
}

static uint64_t write_mcfg(struct acpi_writer *w)
{
	uint64_t gpa;
	struct acpi_mcfg *mcfg = place(w, sizeof(*mcfg), &gpa);

	mcfg->base = PCI_ECAM_BASE;
	finish(&mcfg->h, "MCFG", 1, sizeof(*mcfg));
	return gpa;
}

void acpi_write(struct machine *m)
{
	struct acpi_writer w = { .m = m, .at = BOOT_ACPI };
	uint64_t gpa, xsdt, tables[3];
	struct acpi_rsdp *rsdp = place(&w, sizeof(*rsdp), &gpa);
	struct acpi_header *h;

	tables[0] = write_fadt(&w);
	tables[1] = write_madt(&w);
	tables[2] = write_mcfg(&w);
	h = place(&w, sizeof(*h) + sizeof(tables), &xsdt);
	memcpy(h + 1, tables, sizeof(tables));
	finish(h, "XSDT", 1, sizeof(*h) + sizeof(tables));
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "CORBEL", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = xsdt;
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->ext_checksum = checksum(rsdp, sizeof(*rsdp));
}
