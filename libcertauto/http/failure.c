/* SPDX-License-Identifier: Apache-2.0 */

/* Why there was no answer, in words a person understands: libcurl's code decides ours, libcurl's
 * own text goes along, escaped, as it may quote the peer. */

#include <errno.h>
#include <string.h>

#include "core/memory.h"
#include "http/private.h"

struct cause {
	CURLcode curl;
	int code;
	const char *words;
	const char *advice;
};

static const struct cause causes[] = {
	{ CURLE_UNSUPPORTED_PROTOCOL, CERTAUTO_EPROTO, "the peer does not speak HTTP", NULL },
	{ CURLE_WEIRD_SERVER_REPLY, CERTAUTO_EPROTO, "the peer does not speak HTTP", NULL },
	{ CURLE_HTTP2, CERTAUTO_ENET, "the HTTP/2 connection was lost", NULL },
	{ CURLE_HTTP2_STREAM, CERTAUTO_ENET, "the peer ended the HTTP/2 stream", NULL },
	{ CURLE_PARTIAL_FILE, CERTAUTO_ENET,
	  "the connection was closed in the middle of the answer", NULL },
	{ CURLE_GOT_NOTHING, CERTAUTO_ENET,
	  "the peer closed the connection before answering", NULL },
	{ CURLE_SEND_ERROR, CERTAUTO_ENET, "the connection was lost while sending", NULL },
	{ CURLE_RECV_ERROR, CERTAUTO_ENET, "the connection was lost while receiving", NULL },
	{ CURLE_OPERATION_TIMEDOUT, CERTAUTO_ETIMEDOUT, "no answer in time", NULL },
	{ CURLE_SSL_CONNECT_ERROR, CERTAUTO_ETLS, "the TLS handshake failed", NULL },
	{ CURLE_SSL_CIPHER, CERTAUTO_ETLS, "the TLS handshake failed", NULL },
	{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, CERTAUTO_ETLS,
	  "the peer's public key is not the pinned one",
	  "find out who changed the key of the peer; if it was meant, set pin to the new key" },
	{ CURLE_SSL_CACERT_BADFILE, CERTAUTO_ECONFIG,
	  "the file of trusted CA certificates cannot be used",
	  "ca_file must be a readable PEM file with at least one certificate" },
	{ CURLE_BAD_CONTENT_ENCODING, CERTAUTO_EPROTO,
	  "the answer is not encoded as HTTP demands", NULL },
	/* CURLE_TOO_LARGE of 8.6 and later: headers over libcurl's own limits. */
	{ (CURLcode)100, CERTAUTO_EPROTO, "the answer is over a limit", NULL },
};

static const struct cause cause_unknown = { CURLE_OK, CERTAUTO_ENET, "the request failed", NULL };

/* X509_V_ERR_* of OpenSSL, which libcurl passes on in CURLINFO_SSL_VERIFYRESULT. */
enum {
	VERIFY_NOT_YET_VALID = 9,
	VERIFY_EXPIRED = 10,
	VERIFY_SELF_SIGNED = 18,
	VERIFY_SELF_SIGNED_CA = 19,
	VERIFY_NO_ISSUER = 20,
	VERIFY_NO_ISSUER_OF_LEAF = 21
};

static const struct cause *cause_find(CURLcode code)
{
	size_t i;

	for (i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (causes[i].curl == code)
			return &causes[i];
	return &cause_unknown;
}

/* What the transfer is about: its URL without the query, which may hold a secret, and where it is
 * sent to. */
static void add_subject(certauto__buffer *out, const certauto__transfer *t)
{
	certauto__text_escape(out, t->url, strcspn(t->url, "?"));
	if (t->connect_to != NULL && t->hops == 0) {
		certauto__buffer_text_add(out, " at ");
		certauto__text_escape(out, t->connect_to, strlen(t->connect_to));
	}
}

int certauto__failure_set(certauto__transfer *t, int code, const char *format, ...)
{
	certauto__buffer subject = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	va_list args;

	certauto__error_clear(&t->error);
	va_start(args, format);
	add_subject(&subject, t);
	certauto__error_vset(&t->error, code, certauto__buffer_text(&subject), format, args);
	certauto__error_prefix(&t->error, "%s", certauto__buffer_text(&subject));
	va_end(args);
	certauto__buffer_free(&subject);
	return code;
}

int certauto__failure_too_long(certauto__transfer *t)
{
	return certauto__failure_set(t, CERTAUTO_EPROTO, "the answer is longer than %zu bytes",
		t->answer.max);
}

static int failure_unreachable(certauto__transfer *t, CURLcode code)
{
	certauto__buffer peer = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 8);
	const char *name;
	char text[128];
	long saved_errno = 0;

	if (t->connect_to != NULL && t->hops == 0)
		certauto__buffer_text_add(&peer, t->connect_to);
	else
		certauto__url_peer(t->url, &peer, NULL);
	name = certauto__buffer_text(&peer);
	if (code == CURLE_COULDNT_RESOLVE_HOST) {
		certauto__failure_set(t, CERTAUTO_ENET, "could not resolve host \"%.*s\"",
			(int)strcspn(name, ":"), name);
		certauto__error_advise(&t->error,
			"check the name, and that this machine's DNS resolver answers");
	} else {
		curl_easy_getinfo(t->slot->easy, CURLINFO_OS_ERRNO, &saved_errno);
		if (saved_errno == ECONNREFUSED)
			certauto__failure_set(t, CERTAUTO_ENET, "connection to %s refused", name);
		else
			certauto__failure_set(t, CERTAUTO_ENET, "cannot connect to %s: %s", name,
				saved_errno == 0 ? t->slot->why :
				strerror_r((int)saved_errno, text, sizeof(text)));
	}
	certauto__buffer_free(&peer);
	return CERTAUTO_ENET;
}

static void advise_trust(certauto__transfer *t)
{
	long verify = 0;

	curl_easy_getinfo(t->slot->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
	switch (verify) {
	case VERIFY_SELF_SIGNED:
	case VERIFY_SELF_SIGNED_CA:
	case VERIFY_NO_ISSUER:
	case VERIFY_NO_ISSUER_OF_LEAF:
		certauto__error_advise(&t->error,
			"if the peer is the right one, set ca_file to a PEM file of the CA that "
			"signed its certificate");
		break;
	case VERIFY_NOT_YET_VALID:
	case VERIFY_EXPIRED:
		certauto__error_advise(&t->error,
			"check this machine's clock; if it is right, the peer's certificate must "
			"be renewed");
		break;
	default:
		certauto__error_advise(&t->error,
			"the URL must use a name that is in the peer's certificate");
	}
}

/* OpenSSL reports a connection that ends within the handshake as an error of TLS, without an alert.
 * These are libcurl's and OpenSSL's own words; there is no code that tells it. */
static int is_cut(const char *why)
{
	static const char *const words[] = {
		"SSL_ERROR_SYSCALL", "unexpected eof", "Recv failure", "Send failure",
		"SSL_connect: Connection reset", "SSL_connect: Broken pipe"
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(why, words[i]) != NULL)
			return 1;
	return 0;
}

static int failure_described(certauto__transfer *t, const struct cause *cause, CURLcode code)
{
	certauto__buffer why = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	const char *text = t->slot->why[0] != '\0' ? t->slot->why : curl_easy_strerror(code);
	size_t len = strlen(text);

	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\n'))
		len--;
	certauto__text_escape(&why, text, len);
	certauto__failure_set(t, cause->code, "%s: %s", cause->words, certauto__buffer_text(&why));
	if (cause->advice != NULL)
		certauto__error_advise(&t->error, "%s", cause->advice);
	certauto__buffer_free(&why);
	return cause->code;
}

int certauto__failure(certauto__transfer *t, CURLcode code)
{
	static const struct cause untrusted = {
		CURLE_PEER_FAILED_VERIFICATION, CERTAUTO_ETLS,
		"the peer's certificate is not trusted", NULL
	};
	static const struct cause cut = {
		CURLE_SSL_CONNECT_ERROR, CERTAUTO_ENET,
		"the connection was lost in the TLS handshake", NULL
	};

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		/* libcurl before 8.6 says so of a header over its own limit too. */
		if (t->header_bytes > 0 && !t->headers_end)
			return failure_described(t, cause_find((CURLcode)100), code);
		return certauto__error_nomem(&t->error);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return failure_unreachable(t, code);
	case CURLE_FILESIZE_EXCEEDED:
		return certauto__failure_too_long(t);
	case CURLE_PEER_FAILED_VERIFICATION:
		failure_described(t, &untrusted, code);
		advise_trust(t);
		return CERTAUTO_ETLS;
	case CURLE_RECV_ERROR:
		/* Newer versions tell an end without TLS's own goodbye so. */
		if (strstr(t->slot->why, "unexpected eof") != NULL)
			return failure_described(t,
				cause_find(t->header_bytes > 0 ? CURLE_PARTIAL_FILE
							       : CURLE_GOT_NOTHING),
				code);
		return failure_described(t, cause_find(code), code);
	case CURLE_SSL_CONNECT_ERROR:
		if (is_cut(t->slot->why))
			return failure_described(t, &cut, code);
		/* fall through */
	default:
		return failure_described(t, cause_find(code), code);
	}
}
