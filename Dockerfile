# One image for the API, the worker and the one-shot set-up: only the command differs.

FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: the native parts of the production packages come prebuilt in their archives.
RUN npm ci --omit=dev --ignore-scripts --loglevel=error && npm cache clean --force
# onnxruntime-node carries binaries for six platforms, 290 MB of which one is used.
WORKDIR /app/node_modules/onnxruntime-node/bin/napi-v6
RUN case "$(dpkg --print-architecture)" in amd64) arch=x64 ;; arm64) arch=arm64 ;; *) echo 'no onnxruntime for this platform' >&2; exit 1 ;; esac \
 && rm -rf darwin win32 \
 && find linux -mindepth 1 -maxdepth 1 ! -name "$arch" -exec rm -rf {} + \
 && test -d "linux/$arch"

FROM node:24.21.0-bookworm-slim
# A number above those of the distribution, so that no user of the host has it by accident.
RUN groupadd --gid 10001 millrace \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/millrace --shell /usr/sbin/nologin millrace \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/millrace
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY config ./config
COPY src ./src
COPY examples/models ./examples/models
# The root file system may be read-only: all that is written goes to /var/lib/millrace, and the compile cache to /tmp.
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/tmp/compile-cache \
    MILLRACE_ENVIRONMENT=production
USER 10001:10001
VOLUME /var/lib/millrace
EXPOSE 8080
STOPSIGNAL SIGTERM
# For the API; the worker's own port is named in docker-compose.yml. In node, since the image has no curl.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "src/dev/check-ready.ts", "http://127.0.0.1:8080/readyz"]
CMD ["node", "src/api/main.ts"]
