/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libdivert: divert sockets without the repetitive parts.
 *
 * The library hides nothing: divert_get_fd() gives the socket, and every system
 * call on it works beside the library. It keeps no state but that number, so
 * any number of threads may use a handle at once, but for divert_close().
 * It never prints, never exits, never blocks but in a read, or in a write for
 * which SO_SNDBUF has no room, on a blocking socket, and starts no threads.
 *
 * <linux/divert.h> is the specification of what a divert socket does and has
 * the structures; divert(7) explains it. <libdivert/packet.h> has what is
 * needed to look into packets and to change them.
 *
 * Numbers are in host byte order, unless said.
 */
#ifndef _LIBDIVERT_H
#define _LIBDIVERT_H

#include <linux/divert.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/** DIVERT_PACKET_MAX - no packet is larger: 40 + 65535 bytes, in IPv6 */
#define DIVERT_PACKET_MAX	65575

struct divert;

/**
 * union divert_addr - an address read from or written to a divert socket
 *
 * It says which way a packet goes, from which interface it came, and after
 * which rule it resumes. Given back as it was read, it sends the packet on
 * where it was taken, at any time, any number of times.
 */
union divert_addr {
	/** @sa: sa.sa_family tells which one it is */
	struct sockaddr sa;
	/** @in: AF_INET */
	struct sockaddr_in in;
	/** @in6: AF_INET6 */
	struct sockaddr_in6 in6;
};

/* Sockets */

/**
 * divert_open() - open a divert socket
 * @family: AF_INET or AF_INET6. Both carry IPv4 and IPv6 packets; they differ
 *	in the form of their addresses.
 *
 * The socket is closed on exec. It can write at once, and reads nothing before
 * divert_bind(). Nothing after this call needs privileges.
 *
 * Without the module the same call of socket(2) would yield a plain raw socket
 * that sends what is written to it as IGMP; so the socket is asked whether it
 * is a divert socket.
 *
 * Return: the handle, to be given to divert_close(), or NULL with errno:
 * EPROTONOSUPPORT - the module is not loaded
 * EPERM - CAP_NET_RAW or CAP_NET_ADMIN is missing
 * EAFNOSUPPORT - the family is another one, or IPv6 is disabled
 * EMFILE, ENFILE, ENOMEM, ENOBUFS - as in socket(2)
 */
struct divert *divert_open(int family);

/**
 * divert_open_fd() - use a socket that is there already
 * @fd: a divert socket: inherited, received from another process, or made by
 *	socket(2)
 *
 * Return: the handle, which owns @fd from now on, or NULL with errno; then @fd
 * stays the caller's:
 * EPROTONOSUPPORT - this is no divert socket
 * EBADF, ENOTSOCK - this is no socket
 * ENOMEM - no memory
 */
struct divert *divert_open_fd(int fd);

/**
 * divert_close() - close a socket and free its handle
 * @divert: the handle; NULL is allowed
 *
 * The port is free at once. Packets that were not read are lost, unless
 * divert_set_limits() said otherwise.
 */
void divert_close(struct divert *divert);

/**
 * divert_get_fd() - the socket itself
 * @divert: the handle
 *
 * For poll(2), epoll(7), setsockopt(2) and whatever the library does not do. It
 * stays the handle's: not to be closed.
 *
 * Return: the file descriptor
 */
int divert_get_fd(const struct divert *divert);

/**
 * divert_get_family() - the family of a socket's addresses
 * @divert: the handle
 *
 * Return: AF_INET or AF_INET6
 */
int divert_get_family(const struct divert *divert);

/**
 * divert_bind() - take a divert port
 * @divert: the handle
 * @port: 1 to 65534; 0 picks a free one, see divert_get_port()
 *
 * Return: 0, or -1 with errno:
 * EADDRINUSE - another socket has the port: /proc/net/divert shows it
 * EADDRNOTAVAIL - no mark can name this port: see sysctl net.divert
 * EINVAL - the socket is bound already
 */
int divert_bind(struct divert *divert, uint16_t port);

/**
 * divert_get_port() - the divert port a socket is bound to
 * @divert: the handle
 *
 * Return: the port, 0 if it is not bound, or -1 with errno of getsockname(2)
 */
int divert_get_port(const struct divert *divert);

/**
 * divert_strerror() - an error in words a person can act on
 * @error: an errno that a function of this library left
 *
 * Return: the text; for errors that mean nothing special here, strerror()'s
 */
const char *divert_strerror(int error);

/* Options: all may be set at any time, unless said, and are off at first. */

/**
 * divert_set_tee() - read copies, beside the port's owner
 * @divert: the handle, not yet bound
 * @on: whether to
 *
 * The packets go on without us, whether the port has an owner or not.
 *
 * Return: 0, or -1 with errno:
 * EINVAL - the socket is bound already
 */
int divert_set_tee(struct divert *divert, bool on);

/**
 * divert_set_fanout() - share a port with other sockets, flow by flow
 * @divert: the handle, not yet bound
 * @on: whether to
 *
 * All sockets that share a port must have set this before they are bound, and
 * belong to one user. Both directions of a connection go to the same socket.
 * This is SO_REUSEPORT.
 *
 * Return: 0, or -1 with errno of setsockopt(2)
 */
int divert_set_fanout(struct divert *divert, bool on);

/**
 * divert_set_info() - have metadata with each packet
 * @divert: the handle
 * @on: whether to
 *
 * divert_recv_info() and divert_batch_recv() then give a struct divert_info.
 *
 * Return: 0, or -1 with errno of setsockopt(2)
 */
int divert_set_info(struct divert *divert, bool on);

/**
 * divert_set_time() - have the time with each packet
 * @divert: the handle
 * @on: whether to
 *
 * divert_batch_recv() then gives the time at which each packet was diverted, by
 * CLOCK_REALTIME. This is SO_TIMESTAMPNS.
 *
 * Return: 0, or -1 with errno of setsockopt(2)
 */
int divert_set_time(struct divert *divert, bool on);

/**
 * divert_set_limits() - how much is kept, and what happens to the rest
 * @divert: the handle
 * @limits: what is wanted; the member size is filled in by the library
 *
 * To change one of the limits, begin with those of divert_get_limits().
 *
 * Return: 0, or -1 with errno:
 * EINVAL - a policy is none, or the age is over INT_MAX
 */
int divert_set_limits(struct divert *divert, const struct divert_limits *limits);

/**
 * divert_get_limits() - the limits of a socket
 * @divert: the handle
 * @limits: where to put them
 *
 * Return: 0, or -1 with errno of getsockopt(2)
 */
int divert_get_limits(const struct divert *divert, struct divert_limits *limits);

/**
 * divert_get_stats() - the counters of a socket
 * @divert: the handle
 * @stats: where to put them; those that the kernel does not know are zero
 *
 * Return: 0, or -1 with errno of getsockopt(2)
 */
int divert_get_stats(const struct divert *divert, struct divert_stats *stats);

/**
 * divert_set_gso() - have packets as the stack has them
 * @divert: the handle
 * @on: whether to
 *
 * Packets are not taken apart then, and their checksums not completed.
 * divert_batch_recv() tells how they are meant, and divert_batch_send() sends
 * them on that way.
 *
 * Return: 0, or -1 with errno:
 * ENOPROTOOPT - the module is too old
 */
int divert_set_gso(struct divert *divert, bool on);

/**
 * divert_set_hold() - read headers only, while the kernel keeps the packets
 * @divert: the handle
 * @hold: what is wanted; the member size is filled in by the library
 *
 * Each packet has an id then, which divert_send_verdict() and records take: see
 * "Keeping packets" in <linux/divert.h>.
 *
 * Return: 0, or -1 with errno:
 * EINVAL - one of the values is out of its range
 * EPERM - more bytes than SO_RCVBUF takes CAP_NET_ADMIN on the host
 * ENOMEM - there is no memory for the place of so many packets
 * ENOPROTOOPT - the module is too old
 */
int divert_set_hold(struct divert *divert, const struct divert_hold *hold);

/**
 * divert_get_hold() - how packets are kept
 * @divert: the handle
 * @hold: where to put it
 *
 * Return: 0, or -1 with errno of getsockopt(2)
 */
int divert_get_hold(const struct divert *divert, struct divert_hold *hold);

/**
 * divert_set_inplace() - have packets that come back get their old place
 * @divert: the handle
 * @where: enum divert_inplace: where they go on
 *
 * They are read and written whole, as ever; the kernel keeps what a copy cannot
 * carry.
 *
 * Return: 0, or -1 with errno:
 * EINVAL - @where is none
 * ENOMEM - there is no memory for the place of the packets
 * ENOPROTOOPT - the module is too old
 */
int divert_set_inplace(struct divert *divert, enum divert_inplace where);

/**
 * divert_set_records() - read and write many packets in one buffer
 * @divert: the handle
 * @on: whether to
 *
 * divert_recv() and divert_send() then move records: see divert_record_next().
 *
 * Return: 0, or -1 with errno:
 * ENOPROTOOPT - the module is too old
 */
int divert_set_records(struct divert *divert, bool on);

/* Filters */

/**
 * divert_filter_compile() - make a filter of an expression
 * @filter: where to put it; to be given to divert_filter_free()
 * @expression: as tcpdump has it, see pcap-filter(7); what speaks of link
 *	layers cannot be used, since packets begin with the IP header
 * @error: where to put a sentence that says what was wrong, or NULL
 * @size: bytes at @error
 *
 * Return: 0, or -1 with errno:
 * EINVAL - the expression is not valid; @error says why
 * ENOMEM - no memory
 */
int divert_filter_compile(struct sock_fprog *filter, const char *expression,
			  char *error, size_t size);

/**
 * divert_filter_free() - free what divert_filter_compile() has made
 * @filter: the filter; may be freed while sockets use it
 */
void divert_filter_free(struct sock_fprog *filter);

/**
 * divert_filter_match() - does a filter accept this packet?
 * @filter: from divert_filter_compile()
 * @data: the packet
 * @len: its length
 *
 * Return: whether it does
 */
bool divert_filter_match(const struct sock_fprog *filter, const void *data,
			 size_t len);

/**
 * divert_set_filter() - leave packets in the stack that a filter rejects
 * @divert: the handle
 * @filter: the filter; NULL takes away the one that was there
 *
 * What it rejects goes on undiverted: it is not dropped. This is
 * SO_ATTACH_FILTER.
 *
 * Return: 0, or -1 with errno:
 * ENOENT - there was none to take away
 * EPERM - somebody locked the filter (SO_LOCK_FILTER)
 * ENOMEM - net.core.optmem_max is too small for it
 */
int divert_set_filter(struct divert *divert, const struct sock_fprog *filter);

/* One packet at a time */

/**
 * divert_recv() - read a packet
 * @divert: the handle
 * @data: where to put it, from the IP header on
 * @size: bytes there; a packet has at most DIVERT_PACKET_MAX
 * @addr: where to put its address; NULL if nobody needs it
 *
 * Waits for a packet, unless the socket is non-blocking. A packet that is
 * longer than @size is cut; written back like that, it is refused (EINVAL).
 *
 * Return: how many bytes were put at @data: the packet's length, if it was not
 * cut and divert_set_hold() does not ask for headers only; or -1 with errno:
 * EAGAIN - there is none, and the socket is non-blocking, or its SO_RCVTIMEO
 *	is over
 * EINTR - a signal came first
 */
ssize_t divert_recv(struct divert *divert, void *data, size_t size,
		    union divert_addr *addr);

/**
 * divert_recv_info() - read a packet with its metadata
 * @divert: the handle
 * @data: where to put it, from the IP header on
 * @size: bytes there
 * @addr: where to put its address; NULL if nobody needs it
 * @info: where to put its metadata; all zero, also its size, if the kernel gave
 *	none: see divert_set_info()
 *
 * Return: as divert_recv()
 */
ssize_t divert_recv_info(struct divert *divert, void *data, size_t size,
			 union divert_addr *addr, struct divert_info *info);

/**
 * divert_send() - write a packet
 * @divert: the handle; it need not be bound
 * @data: one whole IP packet
 * @len: its length; bytes past the length its header states are cut off
 * @addr: where it goes: what came with it, or one that was made; NULL sends it
 *	as a fresh packet
 *
 * Whatever was read and is not written back is dropped.
 *
 * Return: @len, or -1 with errno:
 * EINVAL - this is no IP packet, or longer than what was given
 * EAFNOSUPPORT - its version is neither 4 nor 6, or the address is of the
 *	other family
 * EADDRNOTAVAIL - there is no such interface (any more)
 * ENETDOWN - the interface is down
 * EACCES - the firewall dropped it
 * EMSGSIZE - it is too long for the way out and must not be fragmented
 * ENETUNREACH, EHOSTUNREACH - there is no route
 * ENOBUFS - no memory
 * EAGAIN - SO_SNDBUF has no room, and the socket does not block
 * EINTR - a signal came while it waited for room
 * EPIPE - after shutdown(2) for writing
 * ESTALE, ENOENT - the address names a packet that is kept no more, or never
 *	was: see divert_set_hold()
 */
ssize_t divert_send(struct divert *divert, const void *data, size_t len,
		    const union divert_addr *addr);

/**
 * divert_send_info() - write a packet with metadata
 * @divert: the handle
 * @data: one whole IP packet
 * @len: its length
 * @addr: where it goes; may be NULL
 * @info: hook, iif, cookie, mark and, with DIVERT_INFO_OIF, oif go before
 *	@addr; with DIVERT_INFO_HELD, id and DIVERT_VERDICT_* make it a verdict;
 *	the rest is ignored
 *
 * Return: as divert_send()
 */
ssize_t divert_send_info(struct divert *divert, const void *data, size_t len,
			 const union divert_addr *addr,
			 const struct divert_info *info);

/**
 * divert_send_verdict() - decide on a packet that the kernel keeps
 * @divert: the handle it was read from
 * @id: its id, as struct divert_info has it
 * @verdict: 0 to let it go on, or DIVERT_VERDICT_*
 * @data: what replaces its first bytes; may be NULL
 * @len: how many; 0 leaves it as it is
 *
 * Not where records are written: see divert_record_put_verdict().
 *
 * Return: 0, or -1 with errno:
 * EINVAL - the bytes are more than the packet has, or change its length,
 *	version or protocol; it is still kept; or records are written
 * ESTALE - it has had its verdict, or was given up
 * ENOENT - there was none of this id
 */
int divert_send_verdict(struct divert *divert, uint64_t id, uint32_t verdict,
			const void *data, size_t len);

/* Many packets at a time */

struct divert_batch;
struct virtio_net_hdr;

/** DIVERT_MSG_CUT - in struct divert_msg.flags: the packet was cut */
#define DIVERT_MSG_CUT		0x01
/** DIVERT_MSG_INFO - in struct divert_msg.flags and .use: its metadata */
#define DIVERT_MSG_INFO		0x02
/** DIVERT_MSG_TIME - in struct divert_msg.flags: its time is there */
#define DIVERT_MSG_TIME		0x04
/** DIVERT_MSG_GSO - in struct divert_msg.flags and .use: its virtio_net_hdr */
#define DIVERT_MSG_GSO		0x08

/**
 * struct divert_msg - one packet of a batch
 *
 * It belongs to the library, which may add members.
 */
struct divert_msg {
	/** @data: the packet, aligned to 8 bytes; may be pointed elsewhere to
	 * write, until the next divert_batch_recv()
	 */
	void *data;
	/** @len: bytes there are at @data. To write: 0 = not this one. */
	size_t len;
	/** @flags: after reading: DIVERT_MSG_*, what is there */
	unsigned int flags;
	/** @use: to write: DIVERT_MSG_INFO, if info goes before addr,
	 * DIVERT_MSG_GSO, if gso says how the packet is meant. After reading,
	 * the latter if it is there: a packet goes on as it was.
	 */
	unsigned int use;
	/** @error: after writing: 0, or the errno why it was not written */
	int error;
	/** @addr: its address */
	union divert_addr addr;
	/** @info: its metadata; always points to memory of the batch */
	struct divert_info *info;
	/** @time: when it was diverted */
	struct timespec time;
	/** @gso: its segments and checksum, offsets from the IP header: see
	 * <linux/virtio_net.h>; always points to memory of the batch
	 */
	struct virtio_net_hdr *gso;
};

/**
 * divert_batch_alloc() - make room for many packets
 * @count: how many, 1 to 1024
 * @size: bytes for each; 0 = DIVERT_PACKET_MAX. Memory is used as it is touched.
 *
 * Return: the batch, to be given to divert_batch_free(), or NULL with errno:
 * EINVAL - @count is not between 1 and 1024, or @size is over DIVERT_PACKET_MAX
 * ENOMEM - no memory
 */
struct divert_batch *divert_batch_alloc(unsigned int count, size_t size);

/**
 * divert_batch_free() - free a batch
 * @batch: the batch; NULL is allowed
 */
void divert_batch_free(struct divert_batch *batch);

/**
 * divert_batch_msg() - a packet of a batch
 * @batch: the batch
 * @i: which, from 0
 *
 * Return: the packet, or NULL if the batch has not so many
 */
struct divert_msg *divert_batch_msg(struct divert_batch *batch, unsigned int i);

/**
 * divert_batch_recv() - read as many packets as there are
 * @divert: the handle
 * @batch: where to put them
 *
 * Waits for the first one, unless the socket is non-blocking, and for no other.
 *
 * Return: how many, at least 1, or -1 with errno as divert_recv()
 */
int divert_batch_recv(struct divert *divert, struct divert_batch *batch);

/**
 * divert_batch_send() - write many packets
 * @divert: the handle
 * @batch: the packets
 * @count: how many, from the first one on; those of length 0 are left out
 *
 * A packet that is refused does not keep the others back; its error tells. One
 * behind others is tried twice before it is given up, and counted so.
 *
 * Return: how many were written
 */
int divert_batch_send(struct divert *divert, struct divert_batch *batch,
		      unsigned int count);

/* Records: what a read gives and a write takes after divert_set_records() */

/**
 * divert_record_next() - the next record of a buffer
 * @buffer: what was read, aligned to 8 bytes
 * @len: how many bytes were
 * @at: where the record is, 0 at first; moved behind it
 *
 * A record may be changed where it is, and the buffer given to
 * divert_record_send(): the bytes behind it go into the packet;
 * record->captured = 0 leaves a kept packet (DIVERT_INFO_HELD) as it is, at less
 * cost.
 *
 * Return: the record, or NULL with errno:
 * 0 - there is no other
 * EINVAL - this is none
 */
struct divert_record *divert_record_next(void *buffer, size_t len, size_t *at);

/**
 * divert_record_data() - the packet of a record, or what there is of it
 * @record: the record
 *
 * Return: where it is: record->captured bytes
 */
void *divert_record_data(const struct divert_record *record);

/**
 * divert_record_addr() - the address of a record
 * @record: the record
 *
 * Return: where it is; its family is 0 where there is none
 */
union divert_addr *divert_record_addr(struct divert_record *record);

/**
 * divert_record_drop() - have the packet of a record dropped
 * @record: the record, in a buffer for divert_record_send()
 */
void divert_record_drop(struct divert_record *record);

/**
 * divert_record_send() - write a buffer of records
 * @divert: the handle
 * @buffer: the records, aligned to 8 bytes: those that were read, or those that
 *	divert_record_put() has made
 * @len: how many bytes they have
 *
 * A record that is refused does not keep the others back, as it would with
 * divert_send(). One behind others is tried twice before it is given up, and
 * counted so.
 *
 * Return: how many were refused, errno says why the last one was; most often
 * ESTALE: a kept packet was given up before its verdict came
 */
unsigned int divert_record_send(struct divert *divert, void *buffer,
				size_t len);

/**
 * divert_record_put() - add a record to a buffer that is to be written
 * @buffer: the buffer, aligned to 8 bytes
 * @size: bytes it has
 * @at: where to put it, 0 at first; moved behind it: so much is to be written
 * @data: a whole packet, or bytes of a kept one
 * @len: how many
 *
 * The record's address, id, flags and offset are 0, for the caller to fill in.
 *
 * Return: the record, or NULL with errno:
 * ENOBUFS - there is no room for it
 */
struct divert_record *divert_record_put(void *buffer, size_t size, size_t *at,
					const void *data, size_t len);

/**
 * divert_record_put_verdict() - add a verdict without bytes
 * @buffer: the buffer, aligned to 8 bytes
 * @size: bytes it has
 * @at: where to put it; moved behind it
 * @id: of the kept packet
 * @verdict: 0 to let it go on, or DIVERT_VERDICT_*
 *
 * Return: as divert_record_put()
 */
struct divert_record *divert_record_put_verdict(void *buffer, size_t size,
						size_t *at, uint64_t id,
						uint32_t verdict);

/* Addresses */

/**
 * divert_addr_len() - what system calls want to know of an address
 * @addr: the address
 *
 * Return: its length, 0 if its family is neither AF_INET nor AF_INET6
 */
socklen_t divert_addr_len(const union divert_addr *addr);

/**
 * divert_addr_incoming() - which way does the packet go?
 * @addr: the address
 *
 * Return: true if it has been received, false if it is being sent
 */
bool divert_addr_incoming(const union divert_addr *addr);

/**
 * divert_addr_cookie() - the number of the rule that diverted the packet
 * @addr: the address
 *
 * Return: the cookie, 0 if there is none
 */
uint16_t divert_addr_cookie(const union divert_addr *addr);

/**
 * divert_addr_set_cookie() - have the packet resume after another rule
 * @addr: the address
 * @cookie: rules with a cookie up to this one do not divert the packet again;
 *	0 makes it a fresh packet
 */
void divert_addr_set_cookie(union divert_addr *addr, uint16_t cookie);

/**
 * divert_addr_ifindex() - the interface that received the packet
 * @addr: the address
 *
 * Forwarded packets have one, too. Long names, which come as a number, are
 * understood.
 *
 * Return: its index, or 0: the packet was made on this host, or the interface
 * has gone
 */
unsigned int divert_addr_ifindex(const union divert_addr *addr);

/**
 * divert_addr_ifname() - the name of the interface that received the packet
 * @addr: the address
 * @name: where to put it
 *
 * Return: @name, or NULL: as divert_addr_ifindex() returns 0
 */
char *divert_addr_ifname(const union divert_addr *addr, char name[IF_NAMESIZE]);

/**
 * divert_addr_set_out() - make the address of a packet to be sent
 * @addr: the address
 * @family: AF_INET or AF_INET6: the socket's, see divert_get_family()
 * @cookie: as in divert_addr_set_cookie()
 */
void divert_addr_set_out(union divert_addr *addr, int family, uint16_t cookie);

/**
 * divert_addr_set_in() - make the address of a packet to be received
 * @addr: the address
 * @family: AF_INET or AF_INET6: the socket's, see divert_get_family()
 * @ifindex: the interface, 1 to 16777215
 * @cookie: as in divert_addr_set_cookie()
 *
 * Return: 0, or -1 with errno:
 * EINVAL - @ifindex is not in this range
 */
int divert_addr_set_in(union divert_addr *addr, int family,
		       unsigned int ifindex, uint16_t cookie);

/** DIVERT_ADDR_TEXT - enough for divert_addr_print() */
#define DIVERT_ADDR_TEXT	40

/**
 * divert_addr_print() - an address in words, as in "in eth0 cookie 100"
 * @addr: the address
 * @text: where to put them; DIVERT_ADDR_TEXT bytes are enough
 * @size: bytes there
 *
 * Return: @text
 */
char *divert_addr_print(const union divert_addr *addr, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* _LIBDIVERT_H */
