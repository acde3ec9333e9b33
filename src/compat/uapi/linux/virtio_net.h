/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_UAPI_LINUX_VIRTIO_NET_H
#define _DIVERT_COMPAT_UAPI_LINUX_VIRTIO_NET_H

#include_next <uapi/linux/virtio_net.h>

/* v6.2 */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4	5
#endif

#endif
