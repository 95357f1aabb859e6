/* SPDX-License-Identifier: Apache-2.0 */
/* meta.json of a generation and account.json of an account. Members this version does not know are
 * skipped; a document of a newer version is not guessed at. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "json/reader.h"
#include "json/writer.h"
#include "store/files.h"

#define META_VERSION 1

int certauto__meta_format(certauto__buffer *out, const struct certauto__generation *generation,
	const char *key_type)
{
	certauto__json w;

	certauto__json_start(&w, out, 1);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "version", META_VERSION);
	certauto__json_put_text(&w, "key", key_type);
	certauto__json_put_list(&w, "names", &generation->names);
	certauto__json_put_text(&w, "server", generation->server);
	certauto__json_put_text(&w, "order_url", generation->order_url);
	certauto__json_put_text(&w, "profile", generation->profile);
	certauto__json_put_number(&w, "made_at", generation->made_at);
	certauto__json_put_number(&w, "issued_at", generation->issued_at);
	certauto__json_object_end(&w);
	return certauto__buffer_text_add(out, "\n");
}

struct meta_reader {
	struct certauto__generation *out;
	int64_t version;
};

static int meta_value(void *arg, const certauto__json_value *value)
{
	struct meta_reader *r = arg;

	if (certauto__json_is(value, "version"))
		return certauto__json_int(value, 0, INT32_MAX, &r->version);
	if (certauto__json_is(value, "names[]"))
		return value->type != CERTAUTO__JSON_STRING ? CERTAUTO_EPROTO :
			certauto__list_add(&r->out->names, value->text, value->len);
	if (certauto__json_is(value, "server"))
		return certauto__json_copy(value, &r->out->server);
	if (certauto__json_is(value, "order_url"))
		return certauto__json_copy(value, &r->out->order_url);
	if (certauto__json_is(value, "profile"))
		return certauto__json_copy(value, &r->out->profile);
	if (certauto__json_is(value, "made_at"))
		return certauto__json_int(value, 0, INT64_MAX, &r->out->made_at);
	if (certauto__json_is(value, "issued_at"))
		return certauto__json_int(value, 0, INT64_MAX, &r->out->issued_at);
	return 0;
}

/* A file of ours that cannot be understood is "cannot read", never "missing" and never "reset". */
static int unreadable(int rc, int64_t version, const char *what, certauto_error *err)
{
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	if (rc < 0) {
		certauto__error_clear(err);
		rc = certauto__error_set(err, CERTAUTO_EIO, what, "%s is damaged", what);
	} else if (version != META_VERSION) {
		rc = certauto__error_set(err, CERTAUTO_EIO, what,
			"%s has version %lld; this certauto knows %d", what, (long long)version,
			META_VERSION);
	}
	if (rc < 0)
		certauto__error_advise(err,
			"restore it from a backup; do not delete it while in doubt");
	return rc;
}

int certauto__meta_parse(struct certauto__generation *out, const char *what, const void *data,
	size_t len, certauto_error *err)
{
	struct meta_reader r = { .out = out };
	int rc;

	rc = certauto__json_read(what, data, len, &certauto__json_limits_state, meta_value, &r,
		err);
	return unreadable(rc, r.version, what, err);
}

int certauto__account_format(certauto__buffer *out, const char *server, const char *url,
	const char *status, const certauto__list *contacts)
{
	static const certauto__list none;
	certauto__json w;

	certauto__json_start(&w, out, 1);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "version", META_VERSION);
	certauto__json_put_text(&w, "server", server);
	certauto__json_put_text(&w, "url", url);
	certauto__json_put_text(&w, "status", status);
	certauto__json_put_list(&w, "contact", contacts != NULL ? contacts : &none);
	certauto__json_put_number(&w, "saved_at", certauto__clock_now());
	certauto__json_object_end(&w);
	return certauto__buffer_text_add(out, "\n");
}

struct account_reader {
	char **server, **url, **status;
	int64_t version;
};

static int account_value(void *arg, const certauto__json_value *value)
{
	struct account_reader *r = arg;

	if (certauto__json_is(value, "version"))
		return certauto__json_int(value, 0, INT32_MAX, &r->version);
	if (certauto__json_is(value, "server"))
		return certauto__json_copy(value, r->server);
	if (certauto__json_is(value, "url"))
		return certauto__json_copy(value, r->url);
	if (certauto__json_is(value, "status"))
		return certauto__json_copy(value, r->status);
	return 0;
}

int certauto__account_parse(const char *what, const void *data, size_t len, char **server_out,
	char **url_out, char **status_out, certauto_error *err)
{
	struct account_reader r = { .server = server_out, .url = url_out, .status = status_out };
	int rc;

	rc = certauto__json_read(what, data, len, &certauto__json_limits_state, account_value, &r,
		err);
	return unreadable(rc, r.version, what, err);
}
