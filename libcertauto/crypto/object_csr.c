/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun csr, and the text form of its subject. */
#include "crypto/objects.h"

#include <string.h>

#include "core/context.h"
#include "core/memory.h"

#define SUBJECT_PARTS_MAX 16
#define CSR_MAX (256 * 1024)

static void csr_destroy(void *object)
{
	certauto_csr *csr = object;

	certauto__req_free(csr->req);
	certauto__object_unref(csr->key);
}

int certauto__csr_wrap(certauto_csr **out, certauto_context *cx, certauto__req *req,
	certauto_key *key, certauto_error *err)
{
	certauto_csr *csr = certauto__object_new(cx, sizeof(*csr), csr_destroy);

	if (csr == NULL) {
		certauto__req_free(req);
		return certauto__error_nomem(err);
	}
	csr->req = req;
	csr->key = certauto__object_ref(key);
	*out = csr;
	return 0;
}

/* ---- the subject: "CN=vip.example, O=Example" ---- */

struct subject_text {
	certauto__list parts;   /* attribute, value, attribute, value ... */
	const char *others[2 * SUBJECT_PARTS_MAX + 1];
	struct certauto__subject subject;
};

/* One "NAME=value" up to an unescaped comma; *text moves behind it. */
static int subject_part(const char **text, certauto__list *parts)
{
	certauto__buffer value = CERTAUTO__BUFFER(1024);
	const char *at = *text, *name, *equals;
	int rc;

	while (*at == ' ')
		at++;
	name = at;
	equals = strchr(name, '=');
	if (equals == NULL || equals == name)
		return CERTAUTO_EINVAL;
	for (at = equals + 1; *at != '\0' && *at != ','; at++) {
		if (*at == '\\' && at[1] != '\0')
			at++;
		certauto__buffer_add(&value, at, 1);
	}
	*text = *at == ',' ? at + 1 : at;
	rc = value.len == 0 ? CERTAUTO_EINVAL : value.rc;
	if (rc == 0)
		rc = certauto__list_add(parts, name, (size_t)(equals - name));
	if (rc == 0)
		rc = certauto__list_add_text(parts, certauto__buffer_text(&value));
	certauto__buffer_free(&value);
	return rc;
}

static int subject_parse(struct subject_text *out, const char *text, certauto_error *err)
{
	size_t i, n = 0;
	int rc;

	while (*text != '\0' && out->parts.n < 2 * SUBJECT_PARTS_MAX)
		if ((rc = subject_part(&text, &out->parts)) < 0)
			return certauto__error_set(err, rc, NULL,
				"the subject is written CN=name, O=organisation, ... "
				"(CN O OU L ST C; a comma inside a value as \\,)");
	if (*text != '\0')
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the subject has more than %d parts", SUBJECT_PARTS_MAX);
	for (i = 0; i + 1 < out->parts.n; i += 2) {
		if (strcmp(out->parts.items[i], "CN") == 0 && out->subject.common_name == NULL) {
			out->subject.common_name = out->parts.items[i + 1];
			continue;
		}
		out->others[n++] = out->parts.items[i];
		out->others[n++] = out->parts.items[i + 1];
	}
	out->subject.others = out->others;
	return 0;
}

static int csr_make(certauto_csr **out, certauto_context *cx, certauto_key *key,
	const char *subject, const char *const *names, size_t n_names)
{
	certauto__list list = { NULL, 0, 0 };
	struct subject_text parsed;
	certauto__req *req = NULL;
	size_t i;
	int rc = 0;

	memset(&parsed, 0, sizeof(parsed));
	for (i = 0; i < n_names && rc == 0; i++)
		rc = names[i] != NULL ? certauto__list_add_text(&list, names[i]) : CERTAUTO_EINVAL;
	if (rc == 0 && subject != NULL)
		rc = subject_parse(&parsed, subject, &cx->error);
	if (rc == 0)
		rc = certauto__req_new(&req, key->pkey, &list,
			parsed.parts.n > 0 ? &parsed.subject : NULL, &cx->error);
	if (rc == 0)
		rc = certauto__csr_wrap(out, cx, req, key, &cx->error);
	certauto__list_free(&parsed.parts);
	certauto__list_free(&list);
	return rc;
}

int certauto_csr_new_subject(certauto_csr **out, certauto_context *cx, certauto_key *key,
	const char *subject, const char *const *names, size_t n_names)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || key == NULL || key->object.cx != cx || (names == NULL && n_names > 0))
		rc = CERTAUTO_EINVAL;
	else
		rc = csr_make(out, cx, key, subject, names, n_names);
	return certauto__leave(cx, rc);
}

int certauto_csr_new(certauto_csr **out, certauto_context *cx, certauto_key *key,
	const char *const *names, size_t n_names)
{
	return certauto_csr_new_subject(out, cx, key, NULL, names, n_names);
}

int certauto_csr_parse(certauto_csr **out, certauto_context *cx, const unsigned char *data,
	size_t data_len)
{
	certauto__req *req;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || data == NULL)
		rc = CERTAUTO_EINVAL;
	else if ((rc = certauto__req_parse(&req, data, data_len, &cx->error)) == 0)
		rc = certauto__csr_wrap(out, cx, req, NULL, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_csr_format(unsigned char **out, size_t *out_len, const certauto_csr *csr)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CSR_MAX);
	certauto_context *cx;
	int rc;

	if (csr == NULL || out == NULL || out_len == NULL)
		return CERTAUTO_EINVAL;
	cx = csr->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__req_format(&pem, csr->req)) == 0) {
		if ((*out = certauto__give(pem.data, pem.len)) == NULL)
			rc = certauto__error_nomem(&cx->error);
		else
			*out_len = pem.len;
	}
	certauto__buffer_free(&pem);
	return certauto__leave(cx, rc);
}

size_t certauto_csr_n_names(const certauto_csr *csr)
{
	return csr != NULL ? certauto__req_names(csr->req)->n : 0;
}

const char *certauto_csr_name(const certauto_csr *csr, size_t i)
{
	return i < certauto_csr_n_names(csr) ? certauto__req_names(csr->req)->items[i] : NULL;
}

const char *certauto_csr_common_name(const certauto_csr *csr)
{
	return csr != NULL ? certauto__req_common_name(csr->req) : NULL;
}

certauto_context *certauto_csr_context(const certauto_csr *csr)
{
	return csr != NULL ? csr->object.cx : NULL;
}

void certauto_csr_free(certauto_csr *csr)
{
	certauto__object_unref(csr);
}
