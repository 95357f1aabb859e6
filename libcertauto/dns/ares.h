/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_DNS_ARES_H
#define CERTAUTO_DNS_ARES_H

/* What of c-ares is used, in words of our own: it is neither needed to build the library nor
 * linked. All of it has been the same since c-ares 1.16, and its soname is 2. tests/unit/test_dns.c
 * compares it with the header, where there is one. */

#include <netdb.h>

#include "core/error.h"

enum {
	CERTAUTO__ARES_SUCCESS = 0,
	CERTAUTO__ARES_ENODATA = 1,
	CERTAUTO__ARES_EFORMERR = 2,
	CERTAUTO__ARES_ESERVFAIL = 3,
	CERTAUTO__ARES_ENOTFOUND = 4,
	CERTAUTO__ARES_ENOTIMP = 5,
	CERTAUTO__ARES_EREFUSED = 6,
	CERTAUTO__ARES_ECONNREFUSED = 11,
	CERTAUTO__ARES_ETIMEOUT = 12,
	CERTAUTO__ARES_ENOMEM = 15,

	CERTAUTO__ARES_LIB_INIT_ALL = 1,

	CERTAUTO__ARES_FLAG_USEVC = 1 << 0,      /* TCP */
	CERTAUTO__ARES_FLAG_NORECURSE = 1 << 3,
	CERTAUTO__ARES_FLAG_NOCHECKRESP = 1 << 7, /* a refusal is an answer */

	CERTAUTO__ARES_OPT_FLAGS = 1 << 0,
	CERTAUTO__ARES_OPT_TRIES = 1 << 2,
	CERTAUTO__ARES_OPT_SOCK_STATE_CB = 1 << 9,
	CERTAUTO__ARES_OPT_TIMEOUTMS = 1 << 13
};

/* The beginning of struct ares_options: what stands behind is read only if its bit is set. */
struct certauto__ares_options {
	int flags;
	int timeout;
	int tries;
	int ndots;
	unsigned short udp_port;
	unsigned short tcp_port;
	int socket_send_buffer_size;
	int socket_receive_buffer_size;
	void *servers;
	int nservers;
	char **domains;
	int ndomains;
	char *lookups;
	void (*sock_state_cb)(void *arg, int fd, int readable, int writable);
	void *sock_state_cb_data;
};

/* A piece of a TXT record; struct ares_txt_ext. */
struct certauto__ares_txt {
	struct certauto__ares_txt *next;
	unsigned char *txt;
	size_t length;
	unsigned char record_start;
};

struct timeval;

typedef void (*certauto__ares_callback)(void *arg, int status, int timeouts, unsigned char *data,
	int len);

/* result, name, parameters */
#define CERTAUTO__ARES_FUNCTIONS(X) \
	X(int, library_init, (int flags)) \
	X(int, init_options, (void **channel, struct certauto__ares_options *options, int mask)) \
	X(void, destroy, (void *channel)) \
	X(int, set_servers_ports_csv, (void *channel, const char *servers)) \
	X(void, query, \
		(void *channel, const char *name, int dns_class, int type, \
			certauto__ares_callback callback, void *arg)) \
	X(void, process_fd, (void *channel, int read_fd, int write_fd)) \
	X(struct timeval *, timeout, (void *channel, struct timeval *max, struct timeval *out)) \
	X(const char *, strerror, (int status)) \
	X(int, parse_a_reply, \
		(const unsigned char *data, int len, struct hostent **out, void *ttls, int *n)) \
	X(int, parse_aaaa_reply, \
		(const unsigned char *data, int len, struct hostent **out, void *ttls, int *n)) \
	X(int, parse_ns_reply, (const unsigned char *data, int len, struct hostent **out)) \
	X(int, parse_txt_reply_ext, \
		(const unsigned char *data, int len, struct certauto__ares_txt **out)) \
	X(void, free_hostent, (struct hostent *host)) \
	X(void, free_data, (void *data))

struct certauto__ares {
#define CERTAUTO__ARES_FIELD(result, name, parameters) result(*name) parameters;
	CERTAUTO__ARES_FUNCTIONS(CERTAUTO__ARES_FIELD)
#undef CERTAUTO__ARES_FIELD
};

/* Loaded at the first call and never let go of: one for all threads. EUNSUPPORTED. */
int certauto__ares_load(const struct certauto__ares **out, certauto_error *err);

#endif
