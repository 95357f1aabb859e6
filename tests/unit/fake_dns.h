/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_FAKE_DNS_H
#define CERTAUTO_TESTS_UNIT_FAKE_DNS_H

/* Name servers that say what a table of rules tells, over UDP and TCP: several of them, at
 * 127.0.0.1, 127.0.0.2 ... and one port, so that they can be those of a zone. The first rule that
 * fits a question answers it; a name without one does not exist. */

#include "unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/dns.h"

#define FAKE_SERVERS 3
#define FAKE_VALUES 4
#define FAKE_PACKET 4096

enum fake_manner {
	FAKE_SAYS,
	FAKE_SERVFAIL = 2,
	FAKE_NXDOMAIN = 3,
	FAKE_REFUSED = 5,
	FAKE_SILENT,
	FAKE_GARBAGE,    /* the record does not end where the answer does */
	FAKE_CUT,        /* over UDP: the answer is too long */
	FAKE_UDP_ONLY    /* over TCP: nothing */
};

struct fake_rule {
	const char *name;
	int type;
	enum fake_manner manner;
	const char *values[FAKE_VALUES];
	int only;        /* of which server, counted from 1; 0 = of all */
	int lame;        /* 1: does not call the zone its own */
	int after;       /* so many questions are answered by the rules behind it */
};

struct fake_dns {
	const struct fake_rule *rules;
	size_t n_rules;
	int port, stop;
	int udp[FAKE_SERVERS], tcp[FAKE_SERVERS];
	int asked[64];   /* of each rule */
	char log[16384]; /* "1 udp rd=0 16 a.example\n" */
	pthread_mutex_t lock;
	pthread_t thread;
};

/* ---- packets ---- */

struct fake_packet {
	unsigned char data[FAKE_PACKET];
	size_t len;
};

static inline void fake_add(struct fake_packet *p, const void *data, size_t len)
{
	if (p->len + len > sizeof(p->data))
		abort();
	memcpy(p->data + p->len, data, len);
	p->len += len;
}

static inline void fake_add16(struct fake_packet *p, unsigned value)
{
	unsigned char data[2] = {(unsigned char)(value >> 8), (unsigned char)value};

	fake_add(p, data, 2);
}

static inline void fake_add_name(struct fake_packet *p, const char *name)
{
	unsigned char len;

	for (;; name += len + 1) {
		len = (unsigned char)strcspn(name, ".");
		fake_add(p, &len, 1);
		fake_add(p, name, len);
		if (name[len] == '\0')
			break;
	}
	fake_add(p, "", 1);
}

static inline void fake_add_text(struct fake_packet *p, const char *text)
{
	size_t left = strlen(text);
	unsigned char len;

	do {
		len = (unsigned char)(left > 255 ? 255 : left);
		fake_add(p, &len, 1);
		fake_add(p, text, len);
		text += len;
		left -= len;
	} while (left > 0);
}

static inline void fake_add_record(struct fake_packet *p, int type, const char *value)
{
	unsigned char address[16];
	size_t at;

	fake_add(p, "\xc0\x0c", 2); /* the name that was asked for */
	fake_add16(p, (unsigned)type);
	fake_add16(p, 1);
	fake_add(p, "\0\0\0\0", 4);
	at = p->len;
	fake_add16(p, 0);
	if (type == CERTAUTO__DNS_TXT) {
		fake_add_text(p, value);
	} else if (type == CERTAUTO__DNS_A) {
		assert_int_equal(inet_pton(AF_INET, value, address), 1);
		fake_add(p, address, 4);
	} else if (type == CERTAUTO__DNS_AAAA) {
		assert_int_equal(inet_pton(AF_INET6, value, address), 1);
		fake_add(p, address, 16);
	} else {
		fake_add_name(p, value);
	}
	p->data[at] = (unsigned char)((p->len - at - 2) >> 8);
	p->data[at + 1] = (unsigned char)(p->len - at - 2);
}

/* ---- answering ---- */

static inline int fake_name(char out[256], const unsigned char *data, size_t len)
{
	size_t at = 12, n = 0, i;

	while (at < len && data[at] != 0) {
		if (n > 0)
			out[n++] = '.';
		for (i = 1; i <= data[at]; i++)
			out[n++] = (char)data[at + i];
		at += data[at] + 1U;
	}
	out[n] = '\0';
	return (int)at + 1;
}

static inline const struct fake_rule *fake_find(struct fake_dns *dns, int server, const char *name,
	int type, int *known)
{
	const struct fake_rule *rule;
	size_t i;

	*known = 0;
	for (i = 0; i < dns->n_rules; i++) {
		rule = &dns->rules[i];
		if (strcasecmp(rule->name, name) != 0)
			continue;
		*known = 1;
		if (rule->type == type && (rule->only == 0 || rule->only == server + 1) &&
			++dns->asked[i] > rule->after)
			return rule;
	}
	return NULL;
}

/* 0: nothing is said. */
static inline size_t fake_answer(struct fake_dns *dns, int server, int by_tcp,
	const unsigned char *data, size_t len, struct fake_packet *out)
{
	const struct fake_rule *rule;
	char name[256];
	int end = fake_name(name, data, len), type = data[end] << 8 | data[end + 1], known, i = 0;
	enum fake_manner manner;

	pthread_mutex_lock(&dns->lock);
	rule = fake_find(dns, server, name, type, &known);
	snprintf(dns->log + strlen(dns->log), sizeof(dns->log) - strlen(dns->log),
		"%d %s rd=%d %d %s\n", server + 1, by_tcp ? "tcp" : "udp", data[2] & 1, type, name);
	pthread_mutex_unlock(&dns->lock);
	manner = rule != NULL ? rule->manner : known ? FAKE_SAYS : FAKE_NXDOMAIN;
	if (manner == FAKE_SILENT || (manner == FAKE_UDP_ONLY && by_tcp))
		return 0;
	out->len = 0;
	fake_add(out, data, (size_t)end + 4);
	memset(out->data + 6, 0, 6);
	out->data[2] = (unsigned char)(0x80 | (rule != NULL && rule->lame ? 0 : 4) | (data[2] & 1));
	out->data[3] = (unsigned char)(manner < FAKE_SILENT ? manner : 0);
	if (manner == FAKE_CUT && !by_tcp) {
		out->data[2] |= 2;
		return out->len;
	}
	for (; rule != NULL && i < FAKE_VALUES && rule->values[i] != NULL; i++)
		fake_add_record(out, type, rule->values[i]);
	out->data[7] = (unsigned char)i;
	if (manner == FAKE_GARBAGE)
		out->len -= 3;
	return out->len;
}

static inline void fake_serve_tcp(struct fake_dns *dns, int server)
{
	unsigned char data[FAKE_PACKET];
	struct fake_packet out;
	unsigned char head[2];
	int fd = accept(dns->tcp[server], NULL, NULL);
	ssize_t n;

	while (fd >= 0 && recv(fd, head, 2, MSG_WAITALL) == 2) {
		n = recv(fd, data, (size_t)(head[0] << 8 | head[1]), MSG_WAITALL);
		if (n <= 0 || fake_answer(dns, server, 1, data, (size_t)n, &out) == 0)
			break;
		head[0] = (unsigned char)(out.len >> 8);
		head[1] = (unsigned char)out.len;
		send(fd, head, 2, MSG_NOSIGNAL);
		send(fd, out.data, out.len, MSG_NOSIGNAL);
	}
	if (fd >= 0)
		close(fd);
}

static inline void fake_serve_udp(struct fake_dns *dns, int server)
{
	unsigned char data[FAKE_PACKET];
	struct sockaddr_in from;
	struct fake_packet out;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(dns->udp[server], data, sizeof(data), 0, (struct sockaddr *)&from,
		&from_len);

	if (n > 12 && fake_answer(dns, server, 0, data, (size_t)n, &out) > 0)
		sendto(dns->udp[server], out.data, out.len, 0, (struct sockaddr *)&from, from_len);
}

static inline void *fake_run(void *arg)
{
	struct fake_dns *dns = arg;
	struct pollfd fds[2 * FAKE_SERVERS + 1];
	int i;

	for (;;) {
		for (i = 0; i < FAKE_SERVERS; i++) {
			fds[2 * i] = (struct pollfd){dns->udp[i], POLLIN, 0};
			fds[2 * i + 1] = (struct pollfd){dns->tcp[i], POLLIN, 0};
		}
		fds[2 * FAKE_SERVERS] = (struct pollfd){dns->stop, POLLIN, 0};
		poll(fds, 2 * FAKE_SERVERS + 1, -1);
		if (fds[2 * FAKE_SERVERS].revents != 0)
			return NULL;
		for (i = 0; i < FAKE_SERVERS; i++) {
			if (fds[2 * i].revents != 0)
				fake_serve_udp(dns, i);
			if (fds[2 * i + 1].revents != 0)
				fake_serve_tcp(dns, i);
		}
	}
}

/* ---- starting and stopping ---- */

/* 1 if all of them got the port; 0 chooses one. */
static inline int fake_bind(struct fake_dns *dns)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int i;

	for (i = 0; i < FAKE_SERVERS; i++) {
		dns->udp[i] = socket(AF_INET, SOCK_DGRAM, 0);
		dns->tcp[i] = socket(AF_INET, SOCK_STREAM, 0);
	}
	for (i = 0; i < FAKE_SERVERS; i++) {
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)i);
		if (bind(dns->tcp[i], (struct sockaddr *)&address, len) < 0)
			return 0;
		assert_int_equal(getsockname(dns->tcp[i], (struct sockaddr *)&address, &len), 0);
		if (bind(dns->udp[i], (struct sockaddr *)&address, len) < 0 ||
			listen(dns->tcp[i], 16) < 0)
			return 0;
	}
	dns->port = ntohs(address.sin_port);
	return 1;
}

static inline void fake_close(struct fake_dns *dns)
{
	int i;

	for (i = 0; i < FAKE_SERVERS; i++) {
		close(dns->udp[i]);
		close(dns->tcp[i]);
	}
}

static inline void fake_open(struct fake_dns *dns, const struct fake_rule *rules, size_t n_rules)
{
	memset(dns, 0, sizeof(*dns));
	assert_in_range(n_rules, 0, sizeof(dns->asked) / sizeof(dns->asked[0]));
	dns->rules = rules;
	dns->n_rules = n_rules;
	pthread_mutex_init(&dns->lock, NULL);
	while (!fake_bind(dns))
		fake_close(dns);
	assert_true((dns->stop = eventfd(0, EFD_CLOEXEC)) >= 0);
	assert_int_equal(pthread_create(&dns->thread, NULL, fake_run, dns), 0);
}

static inline void fake_stop(struct fake_dns *dns)
{
	eventfd_write(dns->stop, 1);
	pthread_join(dns->thread, NULL);
	fake_close(dns);
	close(dns->stop);
	pthread_mutex_destroy(&dns->lock);
}

/* How many lines of the log have these words. */
static inline int fake_count(struct fake_dns *dns, const char *words)
{
	const char *at = dns->log;
	int n = 0;

	pthread_mutex_lock(&dns->lock);
	for (; (at = strstr(at, words)) != NULL; at++)
		n++;
	pthread_mutex_unlock(&dns->lock);
	return n;
}

static inline const char *fake_address(const struct fake_dns *dns, int server)
{
	static char text[FAKE_SERVERS][32];

	snprintf(text[server - 1], sizeof(text[0]), "127.0.0.%d:%d", server, dns->port);
	return text[server - 1];
}

#endif
