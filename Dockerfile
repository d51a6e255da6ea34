# One image for every program: the gateway and the three subgraphs differ only in the command that compose gives.
FROM node:24.18.0-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY nest-cli.json tsconfig.json .swcrc ./
COPY gateway gateway
COPY subgraphs subgraphs
COPY libs libs
COPY commands commands
COPY test/servers test/servers
RUN npm run build
RUN npm prune --omit=dev --ignore-scripts

FROM node:24.18.0-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d
ENV NODE_ENV=production
# glibc gives each thread an arena of its own: with 500 connections that was 24 MiB of a gateway (bench/README.md).
ENV MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY schema schema
USER node
CMD ["node", "dist/gateway/main.js"]
