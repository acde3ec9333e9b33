// SPDX-License-Identifier: GPL-2.0
/*
 * A TUN device that gives back all that is routed to it.
 */

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hop.h"

static struct hop_options opt;
static bool vnet_hdr;

static int tun_open(void)
{
	struct ifreq ifr = {
		.ifr_name	= "tun0",
		.ifr_flags	= IFF_TUN | IFF_NO_PI,
	};
	int fd = open("/dev/net/tun", O_RDWR);

	if (vnet_hdr)
		ifr.ifr_flags |= IFF_VNET_HDR;
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		unavailable("TUN");
	if (vnet_hdr && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		unavailable("TUNSETOFFLOAD");
	return fd;
}

/* A checksum that is left to the kernel need not be touched. */
static void rewrite(uint8_t *data, size_t len)
{
	const struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)data;
	size_t offset = vnet_hdr ? sizeof(*hdr) : 0;

	if (vnet_hdr && hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		packet_change(data + offset, len - offset);
	else
		packet_rewrite(data + offset, len - offset);
}

int main(int argc, char **argv)
{
	static uint8_t data[HOP_PACKET_MAX + sizeof(struct virtio_net_hdr)]
		__attribute__((aligned(16)));
	ssize_t n;
	int fd;

	hop_options(&opt, argc, argv, "vnet (virtio_net_hdr, GSO)");
	vnet_hdr = hop_mode(&opt, "vnet");
	fd = tun_open();
	hop_ready();

	while ((n = read(fd, data, sizeof(data))) >= 0) {
		if (opt.rewrite)
			rewrite(data, n);
		if (write(fd, data, n) < 0)
			die("write");
	}
	die("read");
}
