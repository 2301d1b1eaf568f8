//! What sessions can do beyond the bridge protocol. One file per call, programs together; this file is the
//! table.

mod export_session;
mod import_session;
mod programs;
mod remove_dependency;
mod set_access;

use std::future::Future;
use std::sync::Arc;

use snakepit_proto::session::{self as pb, sessions_server};
use tonic::{Request, Response, Status};

use super::{Ask, Failure, Node, wire};
use crate::telemetry::RequestSpan;

const SERVICE: &str = sessions_server::SERVICE_NAME;

/// Serves [`sessions_server::Sessions`].
#[derive(Clone, Debug)]
pub struct SessionService(pub Arc<Node>);

impl SessionService {
    /// Answer a request, see [`Node::serve`].
    async fn answer<M, T, F>(
        &self,
        name: &'static str,
        request: Request<M>,
        call: impl FnOnce(Arc<Node>, Ask, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        let nothing = |_: &mut Ask, _: &mut M, _: &RequestSpan| Ok(());
        self.0.serve(SERVICE, name, request, nothing, call).await
    }
}

#[tonic::async_trait]
impl sessions_server::Sessions for SessionService {
    async fn set_access(
        &self,
        request: Request<pb::SetAccessRequest>,
    ) -> Result<Response<pb::SetAccessResponse>, Status> {
        self.answer("SetAccess", request, set_access::answer).await
    }

    async fn remove_dependency(
        &self,
        request: Request<pb::RemoveDependencyRequest>,
    ) -> Result<Response<pb::RemoveDependencyResponse>, Status> {
        self.answer("RemoveDependency", request, remove_dependency::answer)
            .await
    }

    async fn put_program(
        &self,
        request: Request<pb::PutProgramRequest>,
    ) -> Result<Response<pb::PutProgramResponse>, Status> {
        self.answer("PutProgram", request, programs::put).await
    }

    async fn get_program(
        &self,
        request: Request<pb::GetProgramRequest>,
    ) -> Result<Response<pb::GetProgramResponse>, Status> {
        self.answer("GetProgram", request, programs::get).await
    }

    async fn list_programs(
        &self,
        request: Request<pb::ListProgramsRequest>,
    ) -> Result<Response<pb::ListProgramsResponse>, Status> {
        self.answer("ListPrograms", request, programs::list).await
    }

    async fn delete_program(
        &self,
        request: Request<pb::DeleteProgramRequest>,
    ) -> Result<Response<pb::DeleteProgramResponse>, Status> {
        self.answer("DeleteProgram", request, programs::delete)
            .await
    }

    async fn export_session(
        &self,
        request: Request<pb::ExportSessionRequest>,
    ) -> Result<Response<pb::SessionExport>, Status> {
        self.answer("ExportSession", request, export_session::answer)
            .await
    }

    async fn import_session(
        &self,
        request: Request<pb::ImportSessionRequest>,
    ) -> Result<Response<pb::ImportSessionResponse>, Status> {
        self.answer("ImportSession", request, import_session::answer)
            .await
    }

    async fn erase_subject(
        &self,
        request: Request<pb::EraseSubjectRequest>,
    ) -> Result<Response<pb::EraseSubjectResponse>, Status> {
        let erase = |node: Arc<Node>, ask: Ask, request: pb::EraseSubjectRequest| async move {
            let (index, response) = node.erase_subject(&ask, request.subject).await?;
            Ok(wire::at_index(index, response))
        };
        self.answer("EraseSubject", request, erase).await
    }

    async fn list_subjects(
        &self,
        request: Request<pb::ListSubjectsRequest>,
    ) -> Result<Response<pb::ListSubjectsResponse>, Status> {
        let list = |node: Arc<Node>, ask: Ask, request: pb::ListSubjectsRequest| async move {
            let (index, response) = node.list_subjects(&ask, request).await?;
            Ok(wire::at_index(index, response))
        };
        self.answer("ListSubjects", request, list).await
    }
}
