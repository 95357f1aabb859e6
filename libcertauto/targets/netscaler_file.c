/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a NetScaler: NITRO's type systemfile, by name and folder, their content in base64. */

#include "targets/netscaler_deploy.h"

#include <string.h>

#include "crypto/pem.h"

/* The device takes and gives base64 of the usual alphabet, in one line. */
static int content_row(void *arg, const char *const *row)
{
	certauto__buffer *out = arg, text = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	const char *at = row[0] != NULL ? row[0] : "";
	char c;

	out->secret = text.secret = 1;
	for (; *at != '\0'; at++) {
		if (strchr("\r\n=", *at) != NULL)
			continue;
		c = *at == '+' ? '-' : *at == '/' ? '_' : *at;
		certauto__buffer_add(&text, &c, 1);
	}
	if (text.rc == 0)
		text.rc = certauto__base64url_decode(out, certauto__buffer_text(&text), text.len);
	certauto__buffer_free(&text);
	return text.rc;
}

int certauto__netscaler_file_content(certauto__buffer *out, const certauto__exchange *x)
{
	static const char *const fields[] = {"filecontent", NULL};
	int rc;

	if (certauto__netscaler_is_no(x))
		return CERTAUTO_ENOTFOUND;
	if ((rc = certauto__netscaler_rows(x, "systemfile", fields, content_row, out, NULL)) < 0)
		return rc;
	return out->len > 0 ? out->rc : CERTAUTO_ENOTFOUND;
}

/* "args=", with the folder, without the slash at its end, and the file's name if it is wanted. */
static certauto__verdict file_call(certauto__exchange *x, const certauto_target *target,
	const char *name, int is_delete)
{
	certauto__buffer query = CERTAUTO__BUFFER(2048);
	certauto__verdict verdict;
	char folder[CERTAUTO__NS_FOLDER];

	certauto__netscaler_folder(folder, target);
	if (strlen(folder) > 1)
		folder[strlen(folder) - 1] = '\0';
	certauto__buffer_text_add(&query, "args=");
	if (name != NULL && !is_delete)
		certauto__netscaler_arg(&query, "filename", name);
	certauto__netscaler_arg(&query, "filelocation", folder);
	if (is_delete)
		verdict = certauto__netscaler_delete(x, target, "systemfile", name,
			certauto__buffer_text(&query));
	else
		verdict = certauto__netscaler_get(x, target, "systemfile", NULL,
			certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

certauto__verdict certauto__netscaler_file_get(certauto__exchange *x, const certauto_target *target,
	const char *name)
{
	return file_call(x, target, name, 0);
}

certauto__verdict certauto__netscaler_file_list(certauto__exchange *x,
	const certauto_target *target)
{
	return file_call(x, target, NULL, 0);
}

certauto__verdict certauto__netscaler_file_delete(certauto__exchange *x,
	const certauto_target *target, const char *name)
{
	return file_call(x, target, name, 1);
}

certauto__verdict certauto__netscaler_file_post(certauto__exchange *x,
	const certauto_target *target, const char *name, const certauto__buffer *content)
{
	certauto__buffer coded = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 4);
	char folder[CERTAUTO__NS_FOLDER];
	certauto__verdict verdict;
	certauto__json w;
	int rc;

	coded.secret = content->secret;
	rc = certauto__base64_encode(&coded, content->data, content->len);
	certauto__netscaler_folder(folder, target);
	certauto__netscaler_post(&w, x, target, "systemfile", NULL);
	x->body.secret = content->secret;
	certauto__json_put_text(&w, "filename", name);
	certauto__json_put_text(&w, "filelocation", folder);
	certauto__json_put_text(&w, "filecontent", certauto__buffer_text(&coded));
	certauto__json_put_text(&w, "fileencoding", "BASE64");
	verdict = certauto__netscaler_end(&w);
	if (rc < 0)
		x->body.rc = rc; /* stops the sending */
	certauto__buffer_free(&coded);
	return verdict;
}
