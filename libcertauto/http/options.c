/* SPDX-License-Identifier: Apache-2.0 */

/* The one file that sets options of libcurl, so that what is allowed can be read in one place. */

#include <stdio.h>

#include "core/clock.h"
#include "http/private.h"

#define SLOW_BYTES_PER_S 100
#define SLOW_S 20
#define UPLOAD_BUFFER (16 * 1024) /* libcurl's least; its own choice is 64 KiB for each handle */

/* Keeps the first failure, so that the lists below read as lists. */
struct setter {
	CURL *easy;
	CURLcode code;
};

static void set_long(struct setter *s, CURLoption option, long value)
{
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(s->easy, option, value);
}

static void set_text(struct setter *s, CURLoption option, const char *value)
{
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(s->easy, option, value);
}

static void set_size(struct setter *s, CURLoption option, size_t value)
{
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(s->easy, option, (curl_off_t)value);
}

static void set_pointer(struct setter *s, CURLoption option, void *value)
{
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(s->easy, option, value);
}

static void set_callback(struct setter *s, CURLoption option, curl_write_callback value)
{
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(s->easy, option, value);
}

static void set_times(struct setter *s, const certauto__transfer *t)
{
	int64_t left = t->deadline - certauto__clock_ms();

	left = left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : left; /* 0 would mean: no limit */
	set_long(s, CURLOPT_TIMEOUT_MS, (long)left);
	set_long(s, CURLOPT_CONNECTTIMEOUT_MS,
		left < CERTAUTO__HTTP_CONNECT_MS ? (long)left : CERTAUTO__HTTP_CONNECT_MS);
	set_long(s, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_PER_S);
	set_long(s, CURLOPT_LOW_SPEED_TIME, SLOW_S);
}

/* What holds for each and every handle. Nothing of the environment or of the user's home counts:
 * no proxy, no .netrc, no cookies, no alternative services. Compression is not asked for, so the
 * cap in our write callback counts what arrives. A URL goes out byte for byte as given: it is
 * signed. */
static void set_always(struct setter *s, certauto__transfer *t)
{
	set_long(s, CURLOPT_NOSIGNAL, 1);
	set_long(s, CURLOPT_FOLLOWLOCATION, 0);
	set_text(s, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	set_long(s, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	set_long(s, CURLOPT_UNRESTRICTED_AUTH, 0);
	set_long(s, CURLOPT_DISALLOW_USERNAME_IN_URL, 1);
	set_long(s, CURLOPT_HTTP09_ALLOWED, 0);
	set_long(s, CURLOPT_PATH_AS_IS, 1);
	set_long(s, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	set_text(s, CURLOPT_PROXY, "");
	set_text(s, CURLOPT_ACCEPT_ENCODING, NULL);
	set_text(s, CURLOPT_URL, t->url);
	set_pointer(s, CURLOPT_ERRORBUFFER, t->slot->why);
	set_pointer(s, CURLOPT_PRIVATE, t);
	set_pointer(s, CURLOPT_HEADERDATA, t);
	set_pointer(s, CURLOPT_WRITEDATA, t);
	set_callback(s, CURLOPT_HEADERFUNCTION, certauto__transfer_take_header);
	set_callback(s, CURLOPT_WRITEFUNCTION, certauto__transfer_take_body);
	set_times(s, t);
}

/* A CA file replaces the system's certificates altogether, so their folder goes too. */
static void set_trust(struct setter *s, const struct certauto__http_request *request)
{
	int verify = !request->insecure && request->kind != CERTAUTO__HTTP_PROBE &&
		request->kind != CERTAUTO__HTTP_SELFCHECK;

	set_long(s, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set_long(s, CURLOPT_SSL_VERIFYPEER, verify ? 1 : 0);
	set_long(s, CURLOPT_SSL_VERIFYHOST, verify ? 2 : 0);
	if (!verify || request->ca_file != NULL) {
		/* Unverified: not even load the system's, which costs more than the handshake. */
		set_text(s, CURLOPT_CAINFO, verify ? request->ca_file : NULL);
		set_text(s, CURLOPT_CAPATH, NULL);
	}
	if (request->pin != NULL)
		set_text(s, CURLOPT_PINNEDPUBLICKEY, request->pin);
}

/* libcurl sends a request once more when a kept connection ends without an answer. One that changes
 * something may have been acted on: whoever made it has to decide (RFC 9110 9.2.2). */
static void set_once(struct setter *s, certauto__transfer *t)
{
	set_pointer(s, CURLOPT_PREREQDATA, t);
	if (s->code == CURLE_OK)
		s->code = curl_easy_setopt(
			s->easy, CURLOPT_PREREQFUNCTION, certauto__transfer_send_once);
}

static void set_method(struct setter *s, certauto__transfer *t, const char *method)
{
	int sends = t->body != NULL || certauto__text_equal(method, "POST") ||
		certauto__text_equal(method, "PUT") || certauto__text_equal(method, "PATCH");

	/* A second belt beside our own cap: ends it before the body when its length is declared.
	 * Not where HEAD or a redirect declares a body that nobody reads. */
	if ((t->kind == CERTAUTO__HTTP_API || t->kind == CERTAUTO__HTTP_PLAIN) &&
	    !certauto__text_equal(method, "HEAD"))
		set_size(s, CURLOPT_MAXFILESIZE_LARGE, t->answer.max);
	if (certauto__text_equal(method, "HEAD"))
		set_long(s, CURLOPT_NOBODY, 1);
	else if (!certauto__text_equal(method, "GET") && !certauto__text_equal(method, "POST"))
		set_text(s, CURLOPT_CUSTOMREQUEST, method);
	if (!sends)
		return;
	set_once(s, t);
	set_long(s, CURLOPT_POST, 1);
	set_size(s, CURLOPT_POSTFIELDSIZE_LARGE, t->body_len);
	set_text(s, CURLOPT_POSTFIELDS, t->body != NULL ? t->body : "");
	if (certauto__text_equal(method, "GET"))
		set_text(s, CURLOPT_CUSTOMREQUEST, method);
}

#if LIBCURL_VERSION_NUM >= 0x080e00
static int has_signature_option(void)
{
	return curl_version_info(CURLVERSION_NOW)->version_num >= 0x080e00;
}

static void set_signatures(struct setter *s, const char *list)
{
	set_text(s, CURLOPT_SSL_SIGNATURE_ALGORITHMS, list);
}
#else
static int has_signature_option(void)
{
	return 0;
}

static void set_signatures(struct setter *s, const char *list)
{
	(void)s;
	(void)list;
}
#endif

int certauto__http_probe_tls13(void)
{
	return has_signature_option();
}

/* A connection of its own, never shared and never resumed: a resumed session would show the
 * certificate of the handshake before. No ALPN: any TLS server may be behind the port. */
static void set_probe(struct setter *s, const struct certauto__probe_key *key)
{
	set_long(s, CURLOPT_CONNECT_ONLY, 1);
	set_long(s, CURLOPT_FRESH_CONNECT, 1);
	set_long(s, CURLOPT_FORBID_REUSE, 1);
	set_long(s, CURLOPT_CERTINFO, 1);
	set_long(s, CURLOPT_SSL_SESSIONID_CACHE, 0);
	set_long(s, CURLOPT_SSL_ENABLE_ALPN, 0);
	set_long(s, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	if (key != NULL && has_signature_option()) {
		set_signatures(s, key->signatures);
	} else if (key != NULL) {
		set_long(s, CURLOPT_SSLVERSION,
			CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2);
		set_text(s, CURLOPT_SSL_CIPHER_LIST, key->ciphers);
	}
}

static int setter_result(const struct setter *s, certauto_error *err)
{
	if (s->code == CURLE_OK)
		return 0;
	if (s->code == CURLE_OUT_OF_MEMORY)
		return certauto__error_nomem(err);
	return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, NULL, "%s lacks what is needed: %s",
		certauto__http_version(), curl_easy_strerror(s->code));
}

int certauto__options_set(certauto__transfer *t, const struct certauto__http_request *request,
	certauto_error *err)
{
	const struct certauto__probe_key *key = NULL;
	struct setter s = { t->slot->easy, CURLE_OK };
	int plain = certauto__may_be_plain(request->kind);
	char agent[128];

	set_always(&s, t);
	set_text(&s, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
	/* Rather wait for a stream than open a second connection. Without TLS libcurl learns only
	 * from the first answer that there is one stream only, and all would wait for it. */
	set_long(&s, CURLOPT_PIPEWAIT, !plain);
	set_trust(&s, request);
	snprintf(agent, sizeof(agent), "certauto/%s %s", CERTAUTO_VERSION,
		certauto__http_version());
	set_text(&s, CURLOPT_USERAGENT, request->user_agent != NULL ? request->user_agent : agent);
	if (t->headers != NULL)
		set_pointer(&s, CURLOPT_HTTPHEADER, t->headers);
	if (t->mapping != NULL)
		set_pointer(&s, CURLOPT_CONNECT_TO, t->mapping);
	if (request->probe_key != NULL)
		key = certauto__probe_key_find(request->probe_key);
	if (request->kind == CERTAUTO__HTTP_PROBE)
		set_probe(&s, key);
	else
		set_method(&s, t, request->method);
	return setter_result(&s, err);
}

int certauto__options_follow(certauto__transfer *t, certauto_error *err)
{
	struct setter s = { t->slot->easy, CURLE_OK };

	t->slot->why[0] = '\0';
	set_text(&s, CURLOPT_URL, t->url);
	set_times(&s, t);
	return setter_result(&s, err);
}

/* These cannot fail: the options exist in every libcurl we build with. */
void certauto__options_multi(certauto__http *http, curl_socket_callback socket_cb,
	curl_multi_timer_callback timer_cb)
{
	CURLM *multi = http->multi;

	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)CERTAUTO__HTTP_STREAMS);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
		(long)CERTAUTO__HTTP_HOST_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CERTAUTO__HTTP_IDLE_CONNECTIONS);
}
