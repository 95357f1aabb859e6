/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer says: its records are read by c-ares, which hands most of them out as if they were
 * a host with its addresses and aliases. */

#include "dns/answer.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define TEXT_MAX (64 * 1024) /* of one TXT record */
#define AUTHORITATIVE 0x04   /* RFC 1035 4.1.1: AA, in the third byte */

static int take_names(certauto__list *values, char **names)
{
	int rc = 0;

	for (; rc == 0 && names != NULL && *names != NULL; names++)
		rc = certauto__list_add_text(values, *names);
	return rc;
}

static int take_addresses(certauto__list *values, const struct hostent *host)
{
	char text[INET6_ADDRSTRLEN];
	char **address;
	int rc = 0;

	for (address = host->h_addr_list; rc == 0 && *address != NULL; address++) {
		if (inet_ntop(host->h_addrtype, *address, text, sizeof(text)) != NULL)
			rc = certauto__list_add_text(values, text);
	}
	return rc;
}

/* The owner asked for has become an alias, and the name the host. */
static int take_cname(certauto__list *values, const struct hostent *host)
{
	if (host->h_aliases == NULL || host->h_aliases[0] == NULL)
		return 0;
	return certauto__list_add_text(values, host->h_name);
}

static int take_host(certauto__list *values, enum certauto__dns_type type,
	const struct hostent *host)
{
	switch (type) {
	case CERTAUTO__DNS_NS:
		return take_names(values, host->h_aliases);
	case CERTAUTO__DNS_CNAME:
		return take_cname(values, host);
	default:
		return take_addresses(values, host);
	}
}

/* RFC 1035 3.3.14: a text longer than 255 bytes comes in pieces. */
static int take_texts(certauto__list *values, const struct certauto__ares_txt *piece)
{
	certauto__buffer text = CERTAUTO__BUFFER(TEXT_MAX);
	int rc = 0;

	for (; rc == 0 && piece != NULL; piece = piece->next) {
		certauto__buffer_add(&text, piece->txt, piece->length);
		if (piece->next != NULL && !piece->next->record_start)
			continue;
		if ((rc = text.rc) == 0)
			rc = certauto__list_add(values, certauto__buffer_text(&text), text.len);
		certauto__buffer_clear(&text);
	}
	certauto__buffer_free(&text);
	return rc;
}

/* The status of c-ares; what becomes of our own memory is in answer->rc. */
static int take_records(struct certauto__dns_answer *answer, const struct certauto__ares *ares,
	enum certauto__dns_type type, const unsigned char *data, int len)
{
	struct certauto__ares_txt *texts = NULL;
	struct hostent *host = NULL;
	int status;

	if (type == CERTAUTO__DNS_TXT)
		status = ares->parse_txt_reply_ext(data, len, &texts);
	else if (type == CERTAUTO__DNS_NS)
		status = ares->parse_ns_reply(data, len, &host);
	else if (type == CERTAUTO__DNS_AAAA)
		status = ares->parse_aaaa_reply(data, len, &host, NULL, NULL);
	else
		status = ares->parse_a_reply(data, len, &host, NULL, NULL);
	if (host != NULL) {
		answer->rc = take_host(&answer->values, type, host);
		ares->free_hostent(host);
	}
	if (texts != NULL) {
		answer->rc = take_texts(&answer->values, texts);
		ares->free_data(texts);
	}
	return status;
}

static int code_of(int status)
{
	switch (status) {
	case CERTAUTO__ARES_ENODATA:
	case CERTAUTO__ARES_ENOTFOUND:
		return 0;
	case CERTAUTO__ARES_EFORMERR:
	case CERTAUTO__ARES_ESERVFAIL:
	case CERTAUTO__ARES_ENOTIMP:
	case CERTAUTO__ARES_EREFUSED:
		return CERTAUTO_EREFUSED;
	case CERTAUTO__ARES_ECONNREFUSED:
		return CERTAUTO_ENET;
	case CERTAUTO__ARES_ETIMEOUT:
		return CERTAUTO_ETIMEDOUT;
	case CERTAUTO__ARES_ENOMEM:
		return CERTAUTO_ENOMEM;
	default:
		return CERTAUTO_EPROTO;
	}
}

static const char *words_of(const struct certauto__ares *ares, int status)
{
	switch (status) {
	case CERTAUTO__ARES_ENODATA:
		return "no such record";
	case CERTAUTO__ARES_EFORMERR:
		return "FORMERR";
	case CERTAUTO__ARES_ESERVFAIL:
		return "SERVFAIL";
	case CERTAUTO__ARES_ENOTFOUND:
		return "NXDOMAIN";
	case CERTAUTO__ARES_ENOTIMP:
		return "NOTIMP";
	case CERTAUTO__ARES_EREFUSED:
		return "REFUSED";
	case CERTAUTO__ARES_ECONNREFUSED:
		return "it cannot be reached";
	case CERTAUTO__ARES_ETIMEOUT:
		return "no answer in time";
	default:
		return ares->strerror(status);
	}
}

void certauto__dns_answer_take(struct certauto__dns_answer *answer,
	const struct certauto__ares *ares, enum certauto__dns_type type, int status,
	const unsigned char *data, int len)
{
	answer->authoritative = data != NULL && len > 2 && (data[2] & AUTHORITATIVE) != 0;
	if (status == CERTAUTO__ARES_SUCCESS)
		status = take_records(answer, ares, type, data, len);
	if (status == CERTAUTO__ARES_SUCCESS && answer->values.n == 0)
		status = CERTAUTO__ARES_ENODATA;
	if (status == CERTAUTO__ARES_SUCCESS || answer->rc < 0)
		return;
	answer->rc = code_of(status);
	answer->why = words_of(ares, status);
}
