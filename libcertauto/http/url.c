/* SPDX-License-Identifier: Apache-2.0 */

/* Which URLs may be used at all. A URL of a CA is whitelisted by form before libcurl's parser sees
 * it, so two parsers can never disagree about its host: what looks odd is refused, not guessed. */

#include <arpa/inet.h>
#include <string.h>

#include "core/memory.h"
#include "http/private.h"

#define HOST_MAX 253

struct url {
	int https;
	char host[HOST_MAX + 1]; /* lower case, without brackets */
	int port;
};

static const char *scheme_end(const char *url, int *https)
{
	*https = certauto__text_starts(url, "https://");
	if (*https)
		return url + strlen("https://");
	if (certauto__text_starts(url, "http://"))
		return url + strlen("http://");
	return NULL;
}

/* Nothing outside printable ASCII; no backslash, which some parsers take for a slash; no fragment,
 * which is never sent. */
static const char *bad_byte(const char *url)
{
	size_t i;

	for (i = 0; url[i] != '\0'; i++) {
		unsigned char c = (unsigned char)url[i];

		if (c == ' ')
			return "it contains a space";
		if (c < 0x20 || c == 0x7f)
			return "it contains a control character";
		if (c > 0x7f)
			return "it contains a character outside ASCII (host names: as xn--...)";
		if (c == '\\')
			return "it contains a backslash";
		if (c == '#')
			return "it has a fragment";
	}
	return i > CERTAUTO__HTTP_URL_MAX ? "it is too long" : NULL;
}

/* libcurl, as browsers do, reads a host whose last label is a number ("127.1", "0x7f000001") as an
 * IPv4 address. */
static int reads_as_number(const char *host)
{
	const char *label = strrchr(host, '.');

	label = label != NULL ? label + 1 : host;
	if (label[0] == '0' && label[1] == 'x')
		return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
	return label[strspn(label, "0123456789")] == '\0';
}

static const char *host_check(const char *host, int bracketed)
{
	struct in6_addr address;
	char name[HOST_MAX + 1];
	const char *why = NULL;
	size_t i;

	if (bracketed && inet_pton(AF_INET6, host, &address) == 1)
		return NULL;
	if (bracketed)
		return "its IPv6 address is not valid";
	if (host[0] == '\0')
		return "it has no host";
	if (inet_pton(AF_INET, host, &address) == 1)
		return NULL;
	if (reads_as_number(host) || strchr(host, '*') != NULL)
		return "its host is neither a name nor an address";
	/* Not a name in the DNS sense, but met in inventories of devices. */
	for (i = 0; host[i] != '\0'; i++)
		name[i] = host[i] == '_' ? 'x' : host[i];
	name[i] = '\0';
	return certauto__dns_name_check(name, &why) < 0 ? "its host is not a valid name" : NULL;
}

static const char *port_parse(struct url *out, const char *text, size_t len)
{
	char digits[6];
	int64_t port;

	out->port = out->https ? 443 : 80;
	if (len == 0)
		return NULL;
	if (text[0] != ':' || len - 1 >= sizeof(digits))
		return "its port is not valid";
	memcpy(digits, text + 1, len - 1);
	digits[len - 1] = '\0';
	if (certauto__number_parse(digits, 1, 65535, &port) < 0)
		return "its port is not valid";
	out->port = (int)port;
	return NULL;
}

/* NULL, or why it is not acceptable. */
static const char *url_parse(struct url *out, const char *url)
{
	const char *host, *why, *rest;
	size_t authority_len, host_len, i;
	int bracketed;

	if ((host = scheme_end(url, &out->https)) == NULL)
		return "it does not begin with https://";
	if ((why = bad_byte(url)) != NULL)
		return why;
	authority_len = strcspn(host, "/?");
	if (memchr(host, '@', authority_len) != NULL)
		return "it has a user name";
	bracketed = host[0] == '[';
	host_len = strcspn(host, bracketed ? "]/?" : ":/?");
	rest = host + host_len;
	if (bracketed) {
		if (*rest++ != ']')
			return "its IPv6 address is not valid";
		host++;
		host_len--;
		authority_len--;
	}
	if (host_len > HOST_MAX)
		return "its host name is too long";
	for (i = 0; i < host_len; i++) {
		int upper = host[i] >= 'A' && host[i] <= 'Z';

		out->host[i] = (char)(upper ? host[i] + ('a' - 'A') : host[i]);
	}
	out->host[host_len] = '\0';
	if ((why = host_check(out->host, bracketed)) != NULL)
		return why;
	return port_parse(out, rest, authority_len - (size_t)(rest - host));
}

static int v4_is_inside(const unsigned char *a)
{
	return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 ||
		(a[0] == 100 && (a[1] & 0xc0) == 64) ||
		(a[0] == 169 && a[1] == 254) ||
		(a[0] == 172 && (a[1] & 0xf0) == 16) ||
		(a[0] == 192 && a[1] == 168);
}

static int v6_is_inside(const unsigned char *a)
{
	static const unsigned char zero[12];
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return v4_is_inside(a + 12);
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 carries an IPv4 address */
		return v4_is_inside(a + 2);
	return memcmp(a, zero, 12) == 0 || (a[0] & 0xfe) == 0xfc || a[0] == 0xff ||
		(a[0] == 0xfe && a[1] >= 0x80);
}

/* An address that is only reachable from inside: loopback, link-local, private. A CA on the
 * outside that names one wants us to talk to our own network. */
static int is_inside(const char *host)
{
	static const char local[] = "localhost";
	unsigned char address[16];
	size_t len = strlen(host), local_len = strlen(local);

	if (inet_pton(AF_INET, host, address) == 1)
		return v4_is_inside(address);
	if (inet_pton(AF_INET6, host, address) == 1)
		return v6_is_inside(address);
	return len >= local_len && strcmp(host + len - local_len, local) == 0 &&
		(len == local_len || host[len - local_len - 1] == '.');
}

/* An entry without a port means port 443. */
static int is_allowed(const struct url *url, const certauto__list *allow_hosts)
{
	size_t i;

	for (i = 0; allow_hosts != NULL && i < allow_hosts->n; i++) {
		certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
		const char *entry = allow_hosts->items[i];
		int bare_v6 = strchr(entry, ':') != strrchr(entry, ':') && entry[0] != '[';
		struct url allowed;
		int same;

		certauto__buffer_printf(&text, bare_v6 ? "https://[%s]" : "https://%s", entry);
		same = text.rc == 0 && url_parse(&allowed, text.data) == NULL &&
			allowed.port == url->port && strcmp(allowed.host, url->host) == 0;
		certauto__buffer_free(&text);
		if (same)
			return 1;
	}
	return 0;
}

static int url_refuse(certauto_error *err, int code, const char *url, const char *why)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	int rc;

	certauto__text_escape(&shown, url, strlen(url));
	rc = certauto__error_set(err, code, certauto__buffer_text(&shown),
		"the URL \"%s\" is refused: %s", certauto__buffer_text(&shown), why);
	certauto__buffer_free(&shown);
	return rc;
}

static const char *ca_url_check(const char *text, const char *base_text,
	const certauto__list *allow_hosts)
{
	struct url url, base;
	const char *why;

	if ((why = url_parse(&url, text)) != NULL)
		return why;
	if (!url.https)
		return "it does not begin with https://";
	if (strchr(url.host, '_') != NULL)
		return "its host is not a valid name";
	if (url_parse(&base, base_text) != NULL)
		return "the directory's own URL is not valid";
	if (strcmp(url.host, base.host) == 0 && url.port == base.port)
		return NULL;
	if (!is_allowed(&url, allow_hosts))
		return "its host and port are not the directory's, and not in allow_hosts";
	if (is_inside(url.host) && !is_inside(base.host))
		return "its address is a private one, and the directory's is not";
	return NULL;
}

int certauto__url_check(const char *url, const char *base, const certauto__list *allow_hosts,
	certauto_error *err)
{
	const char *why = ca_url_check(url, base, allow_hosts);

	return why == NULL ? 0 : url_refuse(err, CERTAUTO_EPROTO, url, why);
}

int certauto__url_check_configured(const char *url, int allow_http, certauto_error *err)
{
	struct url parsed;
	const char *why = url_parse(&parsed, url);

	if (why == NULL && !parsed.https && !allow_http)
		why = "it does not begin with https://";
	/* A password in it must not be shown. */
	if (why != NULL && strchr(url, '@') != NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "a URL is refused: %s", why);
	return why == NULL ? 0 : url_refuse(err, CERTAUTO_EINVAL, url, why);
}

int certauto__url_host(const char *url, certauto__buffer *host, int *port)
{
	struct url parsed;
	int rc;

	if (url_parse(&parsed, url) != NULL)
		return CERTAUTO_EINVAL;
	if ((rc = certauto__buffer_text_add(host, parsed.host)) < 0)
		return rc;
	*port = parsed.port;
	return 0;
}

int certauto__url_peer(const char *url, certauto__buffer *out, int *port_out)
{
	struct url parsed;
	int rc;

	if (url_parse(&parsed, url) != NULL)
		return CERTAUTO_EINVAL;
	if (strchr(parsed.host, ':') != NULL)
		rc = certauto__buffer_printf(out, "[%s]:%d", parsed.host, parsed.port);
	else
		rc = certauto__buffer_printf(out, "%s:%d", parsed.host, parsed.port);
	if (rc == 0 && port_out != NULL)
		*port_out = parsed.port;
	return rc;
}

int certauto__url_escape(certauto__buffer *out, const char *text)
{
	static const char unreserved[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(unreserved, *text) != NULL)
			certauto__buffer_add(out, text, 1);
		else
			certauto__buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
	}
	return out->rc;
}
