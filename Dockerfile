# Two images from one file, both installed by the make target that everybody uses:
#   docker build --target train -t mim-train .
#   docker build --target deploy -t mim-deploy .    (no PyTorch inside)
FROM python:3.11-slim AS source
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Makefile constraints.txt pyproject.toml README.md LICENSE ./
COPY configs configs
COPY mim mim
ENV PIP_NO_CACHE_DIR=1 VENV=/opt/mim EDITABLE=

FROM source AS train-environment
RUN make install EXTRAS=train,ingest,cluster

FROM source AS deploy-environment
RUN make install EXTRAS=deploy

FROM python:3.11-slim AS base
RUN useradd --create-home --uid 1000 mim
ENV PATH=/opt/mim/bin:$PATH PYTHONUNBUFFERED=1
USER mim
WORKDIR /home/mim
ENTRYPOINT ["mim"]
CMD ["--help"]

FROM base AS train
COPY --from=train-environment /opt/mim /opt/mim

FROM base AS deploy
COPY --from=deploy-environment /opt/mim /opt/mim
