/* SPDX-License-Identifier: Apache-2.0 */
/* Questions on their way: a channel of c-ares for each, and one epoll set with the sockets of them
 * all. */

#include "dns/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/memory.h"
#include "dns/answer.h"

#define LABEL_MAX 63
#define CLASS_IN 1
#define EVENTS 16
#define QUESTIONS_MAX 1024
/* What a resolver gets: it may have to ask others, twice. */
#define RESOLVER_MS 2500
#define RESOLVER_TRIES 2
/* A name server has its answer at hand; whoever asks will ask again. */
#define AUTHORITY_MS 2000
#define AUTHORITY_TRIES 1

struct question {
	certauto__dns *dns;
	uint32_t index;
	enum certauto__dns_type type;
	void *channel;
	int answered;
	struct certauto__dns_answer answer;
};

struct certauto__dns {
	const struct certauto__ares *ares;
	int epoll;
	int rc;                      /* a socket could not be watched */
	struct question **questions;
	size_t n, size;
};

/* ---- callbacks of c-ares ---- */

static void socket_changed(void *arg, int fd, int readable, int writable)
{
	struct question *question = arg;
	int epoll = question->dns->epoll;
	struct epoll_event event = {
		.events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U),
		.data.u64 = (uint64_t)question->index << 32 | (uint32_t)fd,
	};

	if (event.events == 0)
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0 &&
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		question->dns->rc = CERTAUTO_EIO;
}

static void question_answered(void *arg, int status, int timeouts, unsigned char *data, int len)
{
	struct question *question = arg;

	(void)timeouts;
	question->answered = 1;
	certauto__dns_answer_take(&question->answer, question->dns->ares, question->type, status,
		data, len);
}

/* ---- putting questions ---- */

int certauto__dns_new(certauto__dns **out, certauto_error *err)
{
	const struct certauto__ares *ares;
	certauto__dns *dns;
	int rc;

	if ((rc = certauto__ares_load(&ares, err)) < 0)
		return rc;
	if ((dns = certauto__alloc(sizeof(*dns))) == NULL)
		return certauto__error_nomem(err);
	dns->ares = ares;
	if ((dns->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		rc = certauto__error_errno(err, errno, NULL, "cannot ask the DNS");
		certauto__free(dns);
		return rc;
	}
	*out = dns;
	return 0;
}

static int question_open(struct question *question, const struct certauto__dns_question *asked)
{
	const struct certauto__ares *ares = question->dns->ares;
	struct certauto__ares_options options = {
		.flags = (asked->authority ? CERTAUTO__ARES_FLAG_NORECURSE |
						    CERTAUTO__ARES_FLAG_NOCHECKRESP
					    : 0) |
			(asked->tcp ? CERTAUTO__ARES_FLAG_USEVC : 0),
		.timeout = asked->authority ? AUTHORITY_MS : RESOLVER_MS,
		.tries = asked->authority ? AUTHORITY_TRIES : RESOLVER_TRIES,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = question,
	};
	int status;

	status = ares->init_options(&question->channel, &options,
		CERTAUTO__ARES_OPT_FLAGS | CERTAUTO__ARES_OPT_TIMEOUTMS |
			CERTAUTO__ARES_OPT_TRIES | CERTAUTO__ARES_OPT_SOCK_STATE_CB);
	if (status == CERTAUTO__ARES_SUCCESS && asked->servers != NULL)
		status = ares->set_servers_ports_csv(question->channel, asked->servers);
	return status;
}

static void question_free(struct question *question)
{
	if (question == NULL)
		return;
	if (question->channel != NULL)
		question->dns->ares->destroy(question->channel);
	certauto__list_free(&question->answer.values);
	certauto__free(question);
}

static int dns_grow(certauto__dns *dns)
{
	size_t size = dns->size != 0 ? dns->size * 2 : 4;
	struct question **questions;

	if (dns->n < dns->size)
		return 0;
	if (size > QUESTIONS_MAX)
		return CERTAUTO_EPROTO;
	questions = certauto__realloc(dns->questions, size * sizeof(struct question *));
	if (questions == NULL)
		return CERTAUTO_ENOMEM;
	dns->questions = questions;
	dns->size = size;
	return 0;
}

int certauto__dns_ask(certauto__dns *dns, const struct certauto__dns_question *asked,
	certauto_error *err)
{
	struct question *question;
	int rc, status;

	if ((rc = dns_grow(dns)) < 0)
		return certauto__error_set(err, rc, asked->name, "%s", certauto_error_text(rc));
	if ((question = certauto__alloc(sizeof(*question))) == NULL)
		return certauto__error_nomem(err);
	question->dns = dns;
	question->index = (uint32_t)dns->n;
	question->type = asked->type;
	if ((status = question_open(question, asked)) != CERTAUTO__ARES_SUCCESS) {
		question_free(question);
		return certauto__error_set(err,
			status == CERTAUTO__ARES_ENOMEM ? CERTAUTO_ENOMEM : CERTAUTO_EINVAL,
			asked->name, "the DNS cannot be asked: %s", dns->ares->strerror(status));
	}
	dns->questions[dns->n++] = question;
	dns->ares->query(question->channel, asked->name, CLASS_IN, (int)asked->type,
		question_answered, question);
	return 0;
}

/* ---- waiting for the answers ---- */

static void take_events(certauto__dns *dns)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(dns->epoll, events, EVENTS, 0), i, fd;
	uint32_t flags;

	for (i = 0; i < n; i++) {
		fd = (int)(events[i].data.u64 & UINT32_MAX);
		flags = events[i].events;
		/* An error is found by reading or by writing, whatever was waited for. */
		dns->ares->process_fd(dns->questions[events[i].data.u64 >> 32]->channel,
			flags & (EPOLLIN | EPOLLERR | EPOLLHUP) ? fd : -1,
			flags & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? fd : -1);
	}
}

static int64_t question_due_ms(const struct question *question)
{
	struct timeval left;

	if (question->dns->ares->timeout(question->channel, NULL, &left) == NULL)
		return 1;
	return (int64_t)left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
}

int certauto__dns_run(certauto__dns *dns, int *fd, int64_t *again_ms, certauto_error *err)
{
	int64_t due, next = INT64_MAX;
	size_t i;

	take_events(dns);
	for (i = 0; i < dns->n && dns->rc == 0; i++) {
		if (!dns->questions[i]->answered)
			dns->ares->process_fd(dns->questions[i]->channel, -1, -1);
		if (dns->questions[i]->answer.rc == CERTAUTO_ENOMEM)
			dns->rc = CERTAUTO_ENOMEM;
		if (dns->questions[i]->answered)
			continue;
		due = question_due_ms(dns->questions[i]);
		next = due < next ? due : next;
	}
	if (dns->rc < 0)
		return certauto__error_set(err, dns->rc, NULL, "the DNS cannot be asked: %s",
			certauto_error_text(dns->rc));
	if (next == INT64_MAX)
		return 0;
	*fd = dns->epoll;
	*again_ms = next;
	return CERTAUTO_AGAIN;
}

const struct certauto__dns_answer *certauto__dns_answer(const certauto__dns *dns, size_t i)
{
	return &dns->questions[i]->answer;
}

void certauto__dns_free(certauto__dns *dns)
{
	size_t i;

	if (dns == NULL)
		return;
	for (i = 0; i < dns->n; i++)
		question_free(dns->questions[i]);
	close(dns->epoll); /* channels that are given up still take their sockets out of it */
	certauto__free(dns->questions);
	certauto__free(dns);
}

/* ---- what can be known without asking ---- */

int certauto__dns_owner_valid(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t len;

	if (strlen(name) > CERTAUTO__DNS_NAME_MAX)
		return 0;
	for (;; name += len + 1) {
		len = strspn(name, letters);
		if (len == 0 || len > LABEL_MAX || (name[len] != '.' && name[len] != '\0'))
			return 0;
		if (name[len] == '\0')
			return 1;
	}
}

int certauto__dns_text_valid(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			return 0;
	}
	return 1;
}

/* Connecting a datagram socket sends nothing. */
static int has_route(int family, const void *address, socklen_t len)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), found;

	if (fd < 0)
		return 0;
	found = connect(fd, address, len) == 0;
	close(fd);
	return found;
}

int certauto__dns_has_route(const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	const char *colon = strrchr(address, ':');
	char host[INET6_ADDRSTRLEN] = "";
	size_t bracket = address[0] == '[', len = (size_t)(colon - address) - 2 * bracket;

	if (len >= sizeof(host))
		return 0;
	memcpy(host, address + bracket, len);
	if (!bracket)
		return inet_pton(AF_INET, host, &v4.sin_addr) == 1 &&
			has_route(AF_INET, &v4, sizeof(v4));
	return inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 &&
		has_route(AF_INET6, &v6, sizeof(v6));
}
