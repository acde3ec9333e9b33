/* SPDX-License-Identifier: GPL-2.0 */
/* Talking to the kernel by libmnl. */
#ifndef _NETLINK_H
#define _NETLINK_H

#include <libmnl/libmnl.h>

#include "divertctl.h"

/* A socket of this bus, or -1 with errno's reason in @err. */
int netlink_open(int bus, struct mnl_socket **nl, struct error *err);
/* Send @request, give what comes back to @each until it is done. Starts again
 * (with @restart, if not NULL) where a dump was interrupted.
 */
int netlink_ask(struct mnl_socket *nl, struct nlmsghdr *request, mnl_cb_t each,
		void (*restart)(void *data), void *data);

#endif /* _NETLINK_H */
