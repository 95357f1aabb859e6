/* SPDX-License-Identifier: Apache-2.0 */
/* Sensitive values of a configuration: given as they are, or where they are to be found. Their
 * text never gets into a message. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "fleet/node.h"

#define SECRET_MAX 65536

struct source {
	const struct certauto__config *config;
	const char *name;                    /* of the value: "password" */
	const struct certauto__node *at;     /* "file", "env" or "fd" */
};

static int source_fail(const struct source *source, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int source_fail(const struct source *source, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return certauto__config_fail(source->config, source->at, "%.80s: %s", source->name, text);
}

static int read_all(int fd, certauto__buffer *out)
{
	char chunk[4096];
	ssize_t n;
	int rc = 0;

	while (rc == 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? -errno : 1;
			break;
		}
		if (certauto__buffer_add(out, chunk, (size_t)n) < 0)
			rc = -EFBIG;
	}
	certauto__wipe(chunk, sizeof(chunk));
	return rc;
}

static int why(const struct source *source, const char *doing, const char *what, int saved_errno)
{
	const char *reason = strerrordesc_np(saved_errno);

	return source_fail(source, "%s %s: %s", doing, what,
		reason != NULL ? reason : "unknown error");
}

/* A link is followed: orchestrators hand out secrets through one. What it leads to is what
 * counts. */
static int open_file(const struct source *source, int *out)
{
	const char *path = source->at->text;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;

	if (fd < 0)
		return why(source, "cannot open the secret file", path, errno);
	if (fstat(fd, &st) < 0)
		rc = why(source, "cannot look at the secret file", path, errno);
	else if (!S_ISREG(st.st_mode))
		rc = source_fail(source, "the secret file %s is not a regular file", path);
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		rc = source_fail(source,
			"the secret file %s belongs to user id %ld; it "
			"must belong to the user who runs certauto (%ld) or to root",
			path, (long)st.st_uid, (long)geteuid());
	else if ((st.st_mode & 077) != 0)
		rc = source_fail(source,
			"the secret file %s has mode %04o: group and "
			"others must have no right (chmod 600)",
			path, (unsigned)(st.st_mode & 07777));
	if (rc < 0)
		(void)close(fd);
	else
		*out = fd;
	return rc;
}

static int from_descriptor(const struct source *source, int fd, certauto__buffer *out)
{
	int rc = read_all(fd, out);

	if (rc == -EFBIG)
		return source_fail(source, "the secret from %s %s is longer than %d bytes",
			source->at->key, source->at->text, SECRET_MAX);
	return rc < 0 ? why(source, "cannot read the secret from", source->at->text, -rc) : 0;
}

static int from_file(const struct source *source, certauto__buffer *out)
{
	int fd = -1, rc;

	if (source->at->type != CERTAUTO__JSON_STRING || source->at->len == 0)
		return source_fail(source, "\"file\" must be the path of a file");
	if ((rc = open_file(source, &fd)) < 0)
		return rc;
	rc = from_descriptor(source, fd, out);
	(void)close(fd);
	return rc;
}

static int from_fd(const struct source *source, certauto__buffer *out)
{
	int64_t fd;

	if (source->at->type != CERTAUTO__JSON_NUMBER ||
	    certauto__number_parse(source->at->text, 0, INT32_MAX, &fd) < 0)
		return source_fail(source, "\"fd\" must be the number of a descriptor");
	/* Programs that are run later have no business with it. */
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return why(source, "cannot read the secret from descriptor", source->at->text,
			errno);
	return from_descriptor(source, (int)fd, out);
}

static int from_env(const struct source *source, certauto__buffer *out)
{
	const char *value;

	if (source->at->type != CERTAUTO__JSON_STRING || source->at->len == 0)
		return source_fail(source, "\"env\" must be the name of a variable");
	if ((value = getenv(source->at->text)) == NULL)
		return source_fail(source, "the environment has no variable %.80s",
			source->at->text);
	if (certauto__buffer_text_add(out, value) < 0)
		return certauto__error_nomem(source->config->err);
	return 0;
}

static int not_a_secret(const struct certauto__config *config, const struct certauto__node *node)
{
	return certauto__config_fail(config, node,
		"%.80s must be a string or one of {\"file\": PATH}, "
		"{\"env\": NAME}, {\"fd\": NUMBER}",
		node->key);
}

static int from_somewhere(const struct certauto__config *config, const struct certauto__node *node,
	certauto__buffer *out)
{
	const struct source source = { config, node->key, node->children };

	if (source.at != NULL && source.at->next == NULL) {
		if (strcmp(source.at->key, "file") == 0)
			return from_file(&source, out);
		if (strcmp(source.at->key, "env") == 0)
			return from_env(&source, out);
		if (strcmp(source.at->key, "fd") == 0)
			return from_fd(&source, out);
	}
	return not_a_secret(config, node);
}

/* An editor ends the file with a newline that is not part of the secret. */
static void cut_newline(certauto__buffer *text)
{
	if (text->len > 0 && text->data[text->len - 1] == '\n')
		text->data[--text->len] = '\0';
	if (text->len > 0 && text->data[text->len - 1] == '\r')
		text->data[--text->len] = '\0';
}

int certauto__config_secret(const struct certauto__config *config, struct certauto__node *node)
{
	certauto__buffer text = CERTAUTO__BUFFER(SECRET_MAX);
	int rc;

	if (node->type == CERTAUTO__JSON_STRING && node->len > 0)
		return 0;
	text.secret = 1;
	if (node->type != CERTAUTO__JSON_OBJECT) {
		rc = not_a_secret(config, node);
		goto out;
	}
	if ((rc = from_somewhere(config, node, &text)) < 0)
		goto out;
	cut_newline(&text);
	if (text.len == 0 || strlen(text.data) != text.len) {
		rc = certauto__config_fail(config, node,
			"the secret %.80s is empty or has a zero byte in it", node->key);
		goto out;
	}
	if ((node->text = certauto__memdup(text.data, text.len)) == NULL) {
		rc = certauto__error_nomem(config->err);
		goto out;
	}
	node->type = CERTAUTO__JSON_STRING;
	node->len = text.len;
	certauto__node_free(node->children);
	node->children = node->last = NULL;
out:
	certauto__buffer_free(&text);
	return rc;
}
