/* SPDX-License-Identifier: Apache-2.0 */

/* One transfer: its question is copied and checked, its answer taken in within the limits, its
 * redirects judged. libcurl follows none by itself: where one may lead is a rule of ours. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "http/private.h"

/* ---- the question ---- */

int certauto__may_be_plain(enum certauto__http_kind kind)
{
	return kind == CERTAUTO__HTTP_PLAIN || kind == CERTAUTO__HTTP_SELFCHECK;
}

static int follows(enum certauto__http_kind kind)
{
	return kind == CERTAUTO__HTTP_DIRECTORY || kind == CERTAUTO__HTTP_SELFCHECK;
}

static int request_check_header(const char *header)
{
	const char *colon = strchr(header, ':');

	return colon != NULL && colon != header && strpbrk(header, "\r\n") == NULL;
}

/* host:port; only what may stand in a CONNECT_TO entry. */
static int connect_to_port(const char *connect_to)
{
	const char *colon = strrchr(connect_to, ':');
	int64_t port;

	if (colon == NULL || colon == connect_to || strlen(connect_to) > CERTAUTO__HTTP_URL_MAX ||
	    connect_to[strcspn(connect_to, " \t\r\n/@")] != '\0' ||
	    certauto__number_parse(colon + 1, 1, 65535, &port) < 0)
		return -1;
	if (connect_to[0] == '[')
		return colon[-1] == ']' ? (int)port : -1;
	return memchr(connect_to, ':', (size_t)(colon - connect_to)) == NULL ? (int)port : -1;
}

static int request_check(const struct certauto__http_request *request, certauto_error *err)
{
	int fetches = follows(request->kind);
	const char *const *header, *why = NULL;

	for (header = request->headers; header != NULL && *header != NULL; header++)
		if (!request_check_header(*header))
			why = "a header that is not one line \"Name: value\"";
	if (request->kind != CERTAUTO__HTTP_PROBE &&
	    (request->method == NULL || request->method[0] == '\0' ||
	     request->method[strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0'))
		why = "the method is not valid";
	if (fetches && (!certauto__text_equal(request->method, "GET") || request->body != NULL))
		why = "only GET may follow redirects";
	if ((request->kind == CERTAUTO__HTTP_SELFCHECK || request->kind == CERTAUTO__HTTP_PROBE) &&
	    request->headers != NULL && request->headers[0] != NULL)
		why = "no headers may go to a peer that is not verified";
	if (request->connect_to != NULL && connect_to_port(request->connect_to) < 0)
		why = "the address to connect to is not host:port";
	/* libcurl would take anything else for the name of a file. */
	if (request->pin != NULL && !certauto__text_starts(request->pin, "sha256//"))
		why = "the pin does not begin with sha256//";
	if (request->probe_key != NULL && certauto__probe_key_find(request->probe_key) == NULL)
		why = "the key type of a probe is ecdsa or rsa";
	if (why != NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a request cannot be made: %s", why);
	return certauto__url_check_configured(request->url, certauto__may_be_plain(request->kind),
		err);
}

static int slist_add(struct curl_slist **list, const char *text)
{
	struct curl_slist *longer = curl_slist_append(*list, text);

	if (longer == NULL)
		return CERTAUTO_ENOMEM;
	*list = longer;
	return 0;
}

/* Beside the caller's: no waiting for "100 Continue", and no media type of libcurl's choice. */
static int headers_copy(certauto__transfer *t, const struct certauto__http_request *request)
{
	const char *const *header;
	int rc = 0, typed = 0;

	for (header = request->headers; header != NULL && *header != NULL && rc == 0; header++) {
		typed |= certauto__same_word(*header, strcspn(*header, ":"), "Content-Type");
		rc = slist_add(&t->headers, *header);
	}
	if (rc == 0 && request->kind != CERTAUTO__HTTP_PROBE &&
	    !certauto__text_equal(request->method, "GET"))
		rc = slist_add(&t->headers, "Expect:");
	if (rc == 0 && t->body != NULL && !typed)
		rc = slist_add(&t->headers, "Content-Type:");
	return rc;
}

/* Only the first host and port lead to connect_to: a redirect to elsewhere goes there. */
static int mapping_copy(certauto__transfer *t, const char *connect_to)
{
	certauto__buffer entry = CERTAUTO__BUFFER(2 * CERTAUTO__HTTP_URL_MAX);
	int rc;

	if (connect_to == NULL && t->kind != CERTAUTO__HTTP_SELFCHECK)
		return 0;
	if ((rc = certauto__url_peer(t->url, &entry, &t->first_port)) < 0 || connect_to == NULL)
		goto out;
	t->mapped_port = connect_to_port(connect_to);
	if ((t->connect_to = certauto__strdup(connect_to)) == NULL) {
		rc = CERTAUTO_ENOMEM;
		goto out;
	}
	if ((rc = certauto__buffer_printf(&entry, ":%s", connect_to)) < 0)
		goto out;
	rc = slist_add(&t->mapping, entry.data);
out:
	certauto__buffer_free(&entry);
	return rc;
}

static int request_copy(certauto__transfer *t, const struct certauto__http_request *request)
{
	int64_t ms = request->timeout_ms > 0 ? request->timeout_ms : CERTAUTO__HTTP_REQUEST_MS;
	size_t most = request->max_body > 0 ? request->max_body : CERTAUTO__HTTP_ACME_JSON_MAX;
	int rc;

	t->kind = request->kind;
	t->deadline = certauto__clock_ms() + ms;
	certauto__buffer_init(&t->answer, most);
	certauto__buffer_init(&t->fields, CERTAUTO__HTTP_HEADERS_MAX);
	t->answer.secret = t->fields.secret = 1; /* a login answers with a token or a cookie */
	if ((t->url = certauto__strdup(request->url)) == NULL)
		return CERTAUTO_ENOMEM;
	if (request->body != NULL) {
		if ((t->body = certauto__memdup(request->body, request->body_len)) == NULL)
			return CERTAUTO_ENOMEM;
		t->body_len = request->body_len;
	}
	if ((rc = headers_copy(t, request)) < 0)
		return rc;
	return mapping_copy(t, request->connect_to);
}

static void slist_wipe(struct curl_slist *list)
{
	struct curl_slist *item;

	for (item = list; item != NULL; item = item->next)
		certauto__wipe(item->data, strlen(item->data));
	curl_slist_free_all(list);
}

void certauto__transfer_forget(certauto__transfer *t)
{
	slist_wipe(t->headers);
	slist_wipe(t->mapping);
	t->headers = t->mapping = NULL;
	if (t->body != NULL)
		certauto__wipe(t->body, t->body_len);
	certauto__free(t->body);
	t->body = NULL;
}

int certauto__http_start(certauto__transfer **out, certauto__http *http,
	const struct certauto__http_request *request, void *arg, certauto_error *err)
{
	certauto__transfer *t = NULL;
	int rc;

	if ((rc = request_check(request, err)) < 0)
		return rc;
	if ((t = certauto__alloc(sizeof(*t))) == NULL)
		return certauto__error_nomem(err);
	t->http = http;
	t->arg = arg;
	http->n_transfers++;
	if (request_copy(t, request) < 0)
		rc = certauto__error_nomem(err);
	else
		rc = certauto__engine_add(t, request, err);
	if (rc < 0) {
		certauto__transfer_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void certauto__transfer_free(certauto__transfer *t)
{
	if (t == NULL)
		return;
	certauto__engine_remove(t);
	certauto__transfer_forget(t);
	t->http->n_transfers--;
	certauto__buffer_free(&t->fields);
	certauto__buffer_free(&t->answer);
	certauto__buffer_free(&t->leaf);
	certauto__error_clear(&t->error);
	certauto__free(t->connect_to);
	certauto__free(t->url);
	certauto__free(t);
}

/* ---- the answer, as libcurl hands it over ---- */

/* Makes libcurl end the transfer with CURLE_WRITE_ERROR; the reason stays with us. */
static size_t refuse(certauto__transfer *t, int code, const char *why)
{
	t->rc = code == CERTAUTO_ENOMEM ? certauto__error_nomem(&t->error) :
		certauto__failure_set(t, code, "%s", why);
	return 0;
}

static int may_follow(const certauto__transfer *t)
{
	return follows(t->kind) && (t->status == 301 || t->status == 302 || t->status == 303 ||
		t->status == 307 || t->status == 308);
}

/* "HTTP/1.1 200 OK", "HTTP/2 200": libcurl has checked the form. */
static int status_parse(const char *line, size_t len)
{
	const char *blank = memchr(line, ' ', len);
	int status = 0, i;

	if (blank == NULL || (size_t)(blank - line) + 4 > len)
		return 0;
	for (i = 1; i <= 3 && blank[i] >= '0' && blank[i] <= '9'; i++)
		status = 10 * status + (blank[i] - '0');
	return status;
}

int certauto__transfer_send_once(void *arg, char *to, char *from, int to_port, int from_port)
{
	certauto__transfer *t = arg;

	(void)to, (void)from, (void)to_port, (void)from_port;
	if (!t->sent) {
		t->sent = 1;
		return CURL_PREREQFUNC_OK;
	}
	t->rc = certauto__failure_set(
		t, CERTAUTO_ENET, "the peer closed the connection before answering");
	return CURL_PREREQFUNC_ABORT;
}

size_t certauto__transfer_take_header(char *data, size_t size, size_t n, void *arg)
{
	certauto__transfer *t = arg;
	size_t given = size * n, len = given;
	const char *why = NULL;
	int rc;

	if (given > CERTAUTO__HTTP_HEADERS_MAX - t->header_bytes)
		return refuse(t, CERTAUTO_EPROTO, "the answer has too many bytes of headers");
	t->header_bytes += given;
	while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
		len--;
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && t->status < 200) {
		/* Each interim answer (1xx) has a status line of its own; the last one counts. */
		certauto__buffer_clear(&t->fields);
		t->status = status_parse(data, len);
		t->n_headers = 0;
		t->headers_end = 0;
	} else if (len == 0) {
		t->headers_end = 1;
	} else if (!t->headers_end && (rc = certauto__fields_add(t, data, len, &why)) < 0) {
		if (rc == CERTAUTO_ENOMEM)
			return refuse(t, rc, NULL);
		t->rc = certauto__failure_set(t, rc, "the answer has %s", why);
		return 0;
	}
	return given;
}

size_t certauto__transfer_take_body(char *data, size_t size, size_t n, void *arg)
{
	certauto__transfer *t = arg;
	size_t given = size * n;
	int rc;

	if (may_follow(t)) {
		if (given > CERTAUTO__HTTP_UNREAD_MAX - t->unread)
			return refuse(t, CERTAUTO_EPROTO, "the body of a redirect is too long");
		t->unread += given;
		return given;
	}
	if ((rc = certauto__buffer_add(&t->answer, data, given)) == CERTAUTO_ENOMEM)
		return refuse(t, rc, NULL);
	if (rc < 0) {
		t->rc = certauto__failure_too_long(t);
		return 0;
	}
	return given;
}

/* ---- the end ---- */

/* A CA fetches a token from ports 80 and 443 only; a test may have told another one. */
static int selfcheck_redirect_check(certauto__transfer *t, const char *next)
{
	certauto__buffer host = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	int port = 0, rc;

	if ((rc = certauto__url_host(next, &host, &port)) == 0 && port != 80 && port != 443 &&
	    port != t->first_port && port != t->mapped_port)
		rc = CERTAUTO_EPROTO;
	certauto__buffer_free(&host);
	return rc;
}

static int redirect_refuse(certauto__transfer *t, const char *next, const char *why)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	int rc;

	certauto__text_escape(&shown, next, strcspn(next, "?"));
	rc = certauto__failure_set(t, CERTAUTO_EPROTO, "it redirects to \"%s\", %s",
		certauto__buffer_text(&shown), why);
	certauto__buffer_free(&shown);
	return rc;
}

static int redirect_check(certauto__transfer *t, const char *next)
{
	int is_directory = t->kind == CERTAUTO__HTTP_DIRECTORY, rc;
	int most = is_directory ? CERTAUTO__HTTP_DIRECTORY_HOPS : CERTAUTO__HTTP_SELFCHECK_HOPS;

	if (t->hops >= most)
		return certauto__failure_set(t, CERTAUTO_EPROTO, "more than %d redirect%s", most,
			most == 1 ? "" : "s");
	rc = is_directory ? certauto__url_check(next, t->url, NULL, NULL) :
		selfcheck_redirect_check(t, next);
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(&t->error);
	if (rc < 0 && is_directory)
		return redirect_refuse(t, next, "which is not https on the same host and port");
	return rc < 0 ? redirect_refuse(t, next, "where a CA does not follow") : 0;
}

/* 1: t->url is the next hop; 0: the answer stands; else the code of t->error. */
static int redirect_take(certauto__transfer *t)
{
	char *next = NULL, *copy;
	int rc;

	if (!may_follow(t) ||
	    curl_easy_getinfo(t->slot->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK ||
	    next == NULL)
		return 0;
	if ((rc = redirect_check(t, next)) < 0)
		return rc;
	if ((copy = certauto__strdup(next)) == NULL)
		return certauto__error_nomem(&t->error);
	certauto__free(t->url);
	t->url = copy;
	t->hops++;
	t->status = 0;
	t->n_headers = 0;
	t->headers_end = 0;
	certauto__buffer_clear(&t->fields);
	return 1;
}

int certauto__transfer_end(certauto__transfer *t, CURLcode code)
{
	int rc;

	if (t->rc < 0) /* a callback of ours has ended it */
		return 0;
	if (code != CURLE_OK)
		rc = certauto__failure(t, code);
	else if (t->kind == CERTAUTO__HTTP_PROBE)
		rc = certauto__probe_take_leaf(t);
	else if ((rc = redirect_take(t)) == 1)
		return 1;
	t->rc = rc;
	return 0;
}

/* ---- what is asked afterwards ---- */

void *certauto__transfer_arg(const certauto__transfer *t)
{
	return t->arg;
}

int certauto__transfer_result(const certauto__transfer *t, certauto_error *err)
{
	if (t->rc < 0 && err != NULL)
		certauto__error_copy(err, &t->error);
	return t->rc;
}

int certauto__transfer_status(const certauto__transfer *t)
{
	return t->status;
}

const certauto__buffer *certauto__transfer_body(const certauto__transfer *t)
{
	return &t->answer;
}
