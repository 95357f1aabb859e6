/* SPDX-License-Identifier: Apache-2.0 */
/* Small things done to strings. Nothing here depends on the locale: isalpha() and its kin would. */

#include "core/text.h"

#include <arpa/inet.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

static const char text_hex[] = "0123456789abcdef";

/* The shortest form only, no surrogates, nothing above U+10FFFF (RFC 3629 4). */
size_t certauto__utf8_sequence(const char *text, size_t len, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	uint32_t value;
	size_t n, i;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*point = p[0];
		return 1;
	}
	n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (p[0] < 0xC2 || p[0] > 0xF4 || n > len)
		return 0;
	value = p[0] & (0x7FU >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3F);
	}
	if (value < least[n] || (value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF)
		return 0;
	*point = value;
	return n;
}

/* Control characters, and those that turn the direction of the text around them. */
static int text_hidden(uint32_t point)
{
	return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x061C ||
		point == 0x200E || point == 0x200F || (point >= 0x202A && point <= 0x202E) ||
		(point >= 0x2066 && point <= 0x2069);
}

/* The first character of text as it is shown, at most 16 bytes in out; *taken bytes of text. */
static size_t text_show(char *out, const char *text, size_t len, size_t *taken)
{
	uint32_t point;
	size_t n = certauto__utf8_sequence(text, len, &point), i;

	*taken = n != 0 ? n : 1;
	if (n != 0 && !text_hidden(point)) {
		memcpy(out, text, n);
		return n;
	}
	for (i = 0; i < *taken; i++) {
		out[i * 4] = '\\';
		out[i * 4 + 1] = 'x';
		out[i * 4 + 2] = text_hex[(unsigned char)text[i] >> 4];
		out[i * 4 + 3] = text_hex[(unsigned char)text[i] & 15];
	}
	return *taken * 4;
}

int certauto__text_escape(certauto__buffer *out, const char *text, size_t len)
{
	static const char dots[3] = "...";
	char shown[CERTAUTO__SHOWN_MAX], one[16];
	size_t used = 0, cut = 0, taken, n;

	while (len != 0) {
		n = text_show(one, text, len, &taken);
		if (used + n > sizeof(shown)) {
			memcpy(shown + cut, dots, sizeof(dots));
			used = cut + sizeof(dots);
			break;
		}
		memcpy(shown + used, one, n);
		used += n;
		if (used <= sizeof(shown) - sizeof(dots))
			cut = used; /* the dots would still fit behind it */
		text += taken;
		len -= taken;
	}
	return certauto__buffer_add(out, shown, used);
}

void certauto__text_clean(char *text)
{
	size_t len = text != NULL ? strlen(text) : 0, n;
	uint32_t point;

	for (; len > 0; text += n, len -= n) {
		n = certauto__utf8_sequence(text, len, &point);
		if (n > 0 && !text_hidden(point))
			continue;
		n = n > 0 ? n : 1;
		memset(text, '?', n);
	}
}

static const char base64url_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int certauto__base64url_encode(certauto__buffer *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	char group[4];
	uint32_t bits;
	size_t n, i;

	for (; len != 0 && out->rc == 0; p += n, len -= n) {
		n = len < 3 ? len : 3;
		bits = (uint32_t)p[0] << 16;
		if (n > 1)
			bits |= (uint32_t)p[1] << 8;
		if (n > 2)
			bits |= p[2];
		for (i = 0; i < 4; i++)
			group[i] = base64url_alphabet[bits >> (18 - 6 * i) & 63];
		certauto__buffer_add(out, group, n + 1);
	}
	return out->rc;
}

int certauto__base64_encode(certauto__buffer *out, const void *data, size_t len)
{
	size_t begin = out->len;

	certauto__base64url_encode(out, data, len);
	while (out->rc == 0 && (out->len - begin) % 4 != 0)
		certauto__buffer_add(out, "=", 1);
	for (; out->rc == 0 && begin < out->len; begin++) {
		if (out->data[begin] == '-')
			out->data[begin] = '+';
		else if (out->data[begin] == '_')
			out->data[begin] = '/';
	}
	return out->rc;
}

/* 0..63, or 64 for a character outside the alphabet. */
static uint32_t base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '-' ? 62 : c == '_' ? 63 : 64;
}

int certauto__base64url_valid(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (base64url_value(text[i]) == 64)
			return 0;
	return 1;
}

int certauto__base64url_decode(certauto__buffer *out, const char *text, size_t len)
{
	static const uint32_t spare[] = {0, 0, 15, 3}; /* unused bits of a last group of 2 or 3 */
	unsigned char group[3];
	uint32_t bits;
	size_t n, i;

	if (len % 4 == 1 || !certauto__base64url_valid(text, len) ||
	    (base64url_value(len != 0 ? text[len - 1] : 'A') & spare[len % 4]) != 0)
		return CERTAUTO_EPROTO;
	for (; len != 0 && out->rc == 0; text += n, len -= n) {
		n = len < 4 ? len : 4;
		for (bits = 0, i = 0; i < 4; i++)
			bits = bits << 6 | (i < n ? base64url_value(text[i]) : 0);
		group[0] = (unsigned char)(bits >> 16);
		group[1] = (unsigned char)(bits >> 8);
		group[2] = (unsigned char)bits;
		certauto__buffer_add(out, group, n - 1);
	}
	return out->rc;
}

int certauto__hex_encode(certauto__buffer *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	char pair[2];

	for (; len != 0 && out->rc == 0; p++, len--) {
		pair[0] = text_hex[*p >> 4];
		pair[1] = text_hex[*p & 15];
		certauto__buffer_add(out, pair, 2);
	}
	return out->rc;
}

/* Counted downwards from zero, as there is one negative number more than positive ones. */
int certauto__number_parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
	int64_t value = 0;
	int negative = 0, digit;

	if (text == NULL)
		return CERTAUTO_EINVAL;
	if (*text == '-' && min < 0) {
		negative = 1;
		text++;
	}
	if (*text == '\0')
		return CERTAUTO_EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return CERTAUTO_EINVAL;
		digit = *text - '0';
		if (value < (INT64_MIN + digit) / 10)
			return CERTAUTO_EINVAL;
		value = value * 10 - digit;
	}
	if (!negative) {
		if (value == INT64_MIN)
			return CERTAUTO_EINVAL;
		value = -value;
	}
	if (value < min || value > max)
		return CERTAUTO_EINVAL;
	*out = value;
	return 0;
}

int certauto__text_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static char text_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int certauto__text_equal_nocase(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != '\0' && text_lower(*a) == text_lower(*b)) {
		a++;
		b++;
	}
	return text_lower(*a) == text_lower(*b);
}

int certauto__text_starts(const char *text, const char *prefix)
{
	return text != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

/* volatile, so that the compiler may not leave the loop at the first difference. */
int certauto__equal_secret(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *p = a, *q = b;
	unsigned char different = 0;
	size_t i;

	for (i = 0; i < len; i++)
		different |= p[i] ^ q[i];
	return different == 0;
}

static int dns_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* NULL when the label is good, else what is wrong with it. */
static const char *dns_label_fault(const char *label, size_t len)
{
	size_t i;

	if (len == 0)
		return "it has an empty label (two dots in a row, or one in front)";
	if (len > 63)
		return "a label is longer than 63 bytes";
	for (i = 0; i < len; i++) {
		if (label[i] >= 'A' && label[i] <= 'Z')
			return "it has upper-case letters";
		if (label[i] == '*')
			return "\"*\" may only be the whole first label";
		if ((unsigned char)label[i] >= 0x80)
			return "it is not ASCII: write each label of an international name in its "
			       "xn-- form, as `idn2 NAME` prints it";
		if (!dns_label_char(label[i]))
			return "only letters, digits, \"-\" and \".\" may stand in it";
	}
	if (label[0] == '-' || label[len - 1] == '-')
		return "a label begins or ends with \"-\"";
	return NULL;
}

static const char *dns_name_fault(const char *name)
{
	const char *fault;
	size_t len;

	if (name == NULL || *name == '\0')
		return "it is empty";
	if ((len = strlen(name)) > 253)
		return "it is longer than 253 bytes";
	if (name[len - 1] == '.')
		return "it ends with a dot: leave that out";
	if (certauto__ip_check(name))
		return "it is an IP address";
	if (certauto__text_starts(name, "*."))
		name += 2;
	for (;; name += len + 1) {
		len = strcspn(name, ".");
		if ((fault = dns_label_fault(name, len)) != NULL)
			return fault;
		if (name[len] == '\0')
			break;
	}
	if (strspn(name, "0123456789") == len)
		return "the last label is a number";
	return NULL;
}

int certauto__dns_name_check(const char *name, const char **why)
{
	const char *fault = dns_name_fault(name);

	if (fault == NULL)
		return 0;
	if (why != NULL)
		*why = fault;
	return CERTAUTO_EINVAL;
}

int certauto__ip_check(const char *name)
{
	unsigned char address[16];

	return name != NULL && (inet_pton(AF_INET, name, address) == 1 ||
		inet_pton(AF_INET6, name, address) == 1);
}

int certauto__name_normal(char out[CERTAUTO__NAME_SIZE], const char *name, const char **why)
{
	unsigned char address[16];
	size_t i, len = name != NULL ? strlen(name) : 0;
	int family = AF_INET;

	if (name != NULL && (inet_pton(AF_INET, name, address) == 1 ||
		inet_pton(family = AF_INET6, name, address) == 1)) {
		(void)inet_ntop(family, address, out, CERTAUTO__NAME_SIZE);
		return 0;
	}
	if (len == 0 || len >= CERTAUTO__NAME_SIZE)
		return certauto__dns_name_check(name, why);
	for (i = 0; i <= len; i++)
		out[i] = text_lower(name[i]);
	return certauto__dns_name_check(out, why);
}

int certauto__name_match(const char *pattern, const char *name)
{
	const char *rest;

	if (pattern == NULL || name == NULL)
		return 0;
	if (strcmp(pattern, "*") == 0 || certauto__text_equal_nocase(pattern, name))
		return 1;
	if (!certauto__text_starts(pattern, "*."))
		return 0;
	rest = strchr(name, '.');
	return rest != NULL && rest != name && certauto__text_equal_nocase(pattern + 1, rest);
}

int certauto__list_add(certauto__list *list, const char *text, size_t len)
{
	size_t size = list->size != 0 ? list->size * 2 : 8;
	char **items, *copy;

	if (list->n == list->size) {
		items = certauto__realloc(list->items, size * sizeof(*items));
		if (items == NULL)
			return CERTAUTO_ENOMEM;
		list->items = items;
		list->size = size;
	}
	if ((copy = certauto__memdup(text, len)) == NULL)
		return CERTAUTO_ENOMEM;
	list->items[list->n++] = copy;
	return 0;
}

int certauto__list_add_text(certauto__list *list, const char *text)
{
	return certauto__list_add(list, text, strlen(text));
}

static int list_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int certauto__list_split(certauto__list *list, const char *text, char separator)
{
	const char *end, *next;
	int rc;

	for (; text != NULL; text = next) {
		end = strchr(text, separator);
		next = end != NULL ? end + 1 : NULL;
		if (end == NULL)
			end = text + strlen(text);
		while (text < end && list_space(*text))
			text++;
		while (end > text && list_space(end[-1]))
			end--;
		if (end > text && (rc = certauto__list_add(list, text, (size_t)(end - text))) < 0)
			return rc;
	}
	return 0;
}

int certauto__list_has(const certauto__list *list, const char *text)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->items[i], text) == 0)
			return 1;
	return 0;
}

int certauto__list_copy(certauto__list *to, const certauto__list *from)
{
	certauto__list copy = {NULL, 0, 0};
	size_t i;

	for (i = 0; i < from->n; i++)
		if (certauto__list_add_text(&copy, from->items[i]) < 0) {
			certauto__list_free(&copy);
			return CERTAUTO_ENOMEM;
		}
	certauto__list_free(to);
	*to = copy;
	return 0;
}

void certauto__list_free(certauto__list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		certauto__free(list->items[i]);
	certauto__free(list->items);
	memset(list, 0, sizeof(*list));
}
