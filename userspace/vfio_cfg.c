// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration space of an assigned function. VFIO guards what would harm the host; what is done
 * here is what the guest must see otherwise than the host: where its BARs are, which interrupts it
 * has programmed, which capabilities work in a guest without PCI Express bridges.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "vfio_cfg.h"

#define MAX_CAPS	48	/* as many as fit; a list that is longer runs in circles */
#define CAPS_START	0x40
#define EXP_RC_END	(PCI_EXP_TYPE_RC_END << 4)

/* Bytes that the guest reads as they are in pd->cfg, and writes where @writable says so. */
static void own(struct vfio_cfg *c, struct pci_dev *pd, unsigned int off, unsigned int len,
		uint8_t writable)
{
	for (unsigned int i = off; i < off + len && i < PCI_CFG_SIZE; i++) {
		c->ours[i] = true;
		pd->wmask[i] = writable;
	}
}

/* Vectors without mask bits: the guest masks at its interrupt controller instead. */
static void own_msi(struct vfio_cfg *c, struct pci_dev *pd, unsigned int at)
{
	uint16_t flags = pci_get16(pd, at + PCI_MSI_FLAGS) &
			 ~(PCI_MSI_FLAGS_MASKBIT | PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE);
	unsigned int data = flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;

	c->msi = at;
	pci_set16(pd, at + PCI_MSI_FLAGS, flags);
	memset(pd->cfg + at + PCI_MSI_ADDRESS_LO, 0, data + 2 - PCI_MSI_ADDRESS_LO);
	own(c, pd, at, data + 2, 0);
	pd->wmask[at + PCI_MSI_FLAGS] = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;
	memset(pd->wmask + at + PCI_MSI_ADDRESS_LO, 0xff, data + 2 - PCI_MSI_ADDRESS_LO);
	pd->wmask[at + PCI_MSI_ADDRESS_LO] = 0xfc;
}

static void own_msix(struct vfio_cfg *c, struct pci_dev *pd, unsigned int at)
{
	c->msix = at;
	own(c, pd, at, PCI_CAP_MSIX_SIZEOF, 0);
	pd->cfg[at + PCI_MSIX_FLAGS + 1] &= PCI_MSIX_FLAGS_QSIZE >> 8;
	pd->wmask[at + PCI_MSIX_FLAGS + 1] = (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
}

/* On a bus without a port above it, an endpoint is one of the root complex, and has no link. */
static void own_exp(struct vfio_cfg *c, struct pci_dev *pd, unsigned int at)
{
	uint16_t flags = pci_get16(pd, at + PCI_EXP_FLAGS);
	unsigned int type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;

	if (type != PCI_EXP_TYPE_ENDPOINT)
		return;
	pci_set16(pd, at + PCI_EXP_FLAGS, (flags & ~PCI_EXP_FLAGS_TYPE) | EXP_RC_END);
	own(c, pd, at + PCI_EXP_FLAGS, 2, 0);
	memset(pd->cfg + at + PCI_EXP_LNKCAP, 0, PCI_EXP_SLTCAP - PCI_EXP_LNKCAP);
	own(c, pd, at + PCI_EXP_LNKCAP, PCI_EXP_SLTCAP - PCI_EXP_LNKCAP, 0);
}

/* Returns: whether a guest gets this capability at all; extended ones it never sees. */
static bool take_cap(struct vfio_cfg *c, struct pci_dev *pd, unsigned int at)
{
	switch (pd->cfg[at]) {
	case PCI_CAP_ID_PM:
	case PCI_CAP_ID_VPD:
	case PCI_CAP_ID_VNDR:
	case PCI_CAP_ID_AF:
		return true;
	case PCI_CAP_ID_MSI:
		if (at <= PCI_CFG_SIZE - (PCI_MSI_DATA_64 + 2))
			own_msi(c, pd, at);
		return c->msi == at;
	case PCI_CAP_ID_MSIX:
		if (at <= PCI_CFG_SIZE - PCI_CAP_MSIX_SIZEOF)
			own_msix(c, pd, at);
		return c->msix == at;
	case PCI_CAP_ID_EXP:
		if (at <= PCI_CFG_SIZE - PCI_EXP_SLTCAP)
			own_exp(c, pd, at);
		return at <= PCI_CFG_SIZE - PCI_EXP_SLTCAP;
	default:
		return false;
	}
}

/* Link those that the guest gets, in the function's own order. */
static void own_caps(struct vfio_cfg *c, struct pci_dev *pd, const uint8_t *raw)
{
	unsigned int link = PCI_CAPABILITY_LIST, at = 0;

	own(c, pd, link, 1, 0);
	pd->cfg[link] = 0;
	if (raw[PCI_STATUS] & PCI_STATUS_CAP_LIST)
		at = raw[PCI_CAPABILITY_LIST] & ~3u;
	for (unsigned int n = 0; at >= CAPS_START && n < MAX_CAPS; n++, at = raw[at + 1] & ~3u) {
		if (!take_cap(c, pd, at))
			continue;
		pd->cfg[link] = at;
		link = at + PCI_CAP_LIST_NEXT;
		own(c, pd, link, 1, 0);
		pd->cfg[link] = 0;
	}
}

/**
 * vfio_cfg_init - decide whose each byte is
 * @raw: the function's configuration space as VFIO shows it
 *
 * BARs are the launcher's and empty: pci_add_bar() fills in those that there are.
 */
void vfio_cfg_init(struct vfio_cfg *c, struct pci_dev *pd, const uint8_t *raw)
{
	memset(c, 0, sizeof(*c));
	memcpy(pd->cfg, raw, PCI_CFG_SIZE);
	memset(pd->wmask, 0xff, PCI_CFG_SIZE);
	pci_set16(pd, PCI_COMMAND, 0);
	pd->cfg[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	own(c, pd, PCI_HEADER_TYPE, 1, 0);
	memset(pd->cfg + PCI_BASE_ADDRESS_0, 0, PCI_CARDBUS_CIS - PCI_BASE_ADDRESS_0);
	own(c, pd, PCI_BASE_ADDRESS_0, PCI_CARDBUS_CIS - PCI_BASE_ADDRESS_0, 0);
	pci_set32(pd, PCI_ROM_ADDRESS, 0);
	own(c, pd, PCI_ROM_ADDRESS, 4, 0);
	pd->cfg[PCI_INTERRUPT_LINE] = 0;
	own(c, pd, PCI_INTERRUPT_LINE, 1, 0xff);
	/* Each function has a slot of its own, whose pin A it is. */
	pd->cfg[PCI_INTERRUPT_PIN] = !!raw[PCI_INTERRUPT_PIN];
	own(c, pd, PCI_INTERRUPT_PIN, 1, 0);
	own_caps(c, pd, raw);
}

/**
 * vfio_cfg_run - find bytes of VFIO's
 * @off: where to look from; where they begin
 * @len: how many there are
 *
 * Returns: false if there are none before @end.
 */
bool vfio_cfg_run(const struct vfio_cfg *c, unsigned int *off, unsigned int *len, unsigned int end)
{
	while (*off < end && c->ours[*off])
		++*off;
	for (*len = 0; *off + *len < end && !c->ours[*off + *len];)
		++*len;
	return *len;
}
